"""What a function is annotated with is what it gets from JSON text; what cannot be is refused early."""

from __future__ import annotations

import functools
import gc
import math
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from types import NoneType
from typing import Annotated, Any, Literal, TypedDict
from uuid import UUID

import annotated_types
import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sdk.shop import (
    Account,
    Address,
    Camel,
    Colour,
    Invoice,
    Level,
    Line,
    Loose,
    Order,
    Pair,
    Ping,
    Point,
    Price,
    Socket,
    Team,
    Tree,
    TwoNames,
    User,
    Visit,
)
from zopio_trigger.errors import ConfigurationError, InvalidInput, InvalidPayload
from zopio_trigger.sdk import codec as codecs
from zopio_trigger.sdk.codec import PLAIN, codec_for, decode_result, encode_result, result_codec

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SOME_ID = UUID(int=7)
ORDER = Order(
    id=SOME_ID,
    lines=[Line("a", Decimal("1.50")), Line("b", Decimal(2), count=3)],
    placed_at=NOON,
    tags={"x"},
    by_level={Level.HIGH: Colour.RED},
)
ADA = User(email="ada@example.com", age=36, born=date(1815, 12, 10))


class OldTypedDict(TypedDict):
    """Of `typing`, which pydantic refuses before Python 3.12."""

    user: User


def issues_of(annotation: object, text: str) -> tuple[tuple[str, str], ...]:
    with pytest.raises(InvalidPayload) as caught:
        codec_for(annotation).decode(text)
    return caught.value.issues


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Any, {"a": [1, 2.5, None, "ü\u0000", True]}),
        (object, 10**40),
        (None, None),
        (NoneType, None),
        (dict, {"a": {"b": 1}}),
        (list, [1, "x"]),
        (str, "ü\N{GRINNING FACE}"),
        (int, 10**40),
        (float, 1e300),
        (bool, True),
        (bytes, b"\x00\xff"),
        (dict[str, Any], {"big": 2**70}),
        (dict[int, list[float]], {1: [1.5]}),
        (dict[date, dict[UUID, int]], {date(2026, 1, 1): {SOME_ID: 1}}),
        (Mapping[str, int], {"a": 1}),
        (Sequence[int], [1, 2]),
        (tuple[int, str], (1, "a")),
        (tuple[Point, ...], (Point(1, 2),)),
        (set[Point], {Point(1, 2)}),
        (frozenset[tuple[int, int]], frozenset({(1, 2)})),
        (datetime, NOON),
        (date | None, date(2026, 1, 1)),
        (time, time(1, 2, 3, 4)),
        (timedelta, timedelta(days=-1, microseconds=1)),
        (UUID, SOME_ID),
        (Decimal, Decimal("1.10")),
        (Colour, Colour.BLUE),
        (Literal["a", 1], "a"),
        (Line | None, None),
        (int | str | None, "x"),
        (Annotated[int, msgspec.Meta(gt=0), "a note"], 3),
        (Annotated[int, {"cannot": "be hashed"}], 3),
        (Order, ORDER),
        (dict[str, list[Order]], {"a": [ORDER]}),
        (Pair, Pair(1, "x")),
        (Address, {"city": "Ankara"}),
        (Ping, Ping(NOON, timedelta(hours=1))),
        (Tree, Tree("a", [Tree("b")])),
        (User, ADA),
        (list[User | Price], [ADA, Price(3)]),
        (Team, Team(users=[ADA], by_name={"ada": ADA}, parent=Team(users=[]))),
        (Price, Price(amount=3, currency="TRY")),
        (Annotated[int, pydantic.Field(gt=0)], 3),
        (Annotated[str, annotated_types.MinLen(2)], "ab"),
        (Invoice, Invoice(ADA, ORDER)),
        (Visit, Visit(ADA, ["/"], {"x": ADA})),
        (list[Visit | None], [Visit(ADA, []), None]),
        (OldTypedDict, {"user": ADA}),
        (Camel, Camel(userId=3)),
        (TwoNames, TwoNames.model_validate({"userId": 3})),
        (Line | Point, Point(1, 2)),
        (User | Visit | None, Visit(ADA, [])),
        (Line | Point | None, None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_value_comes_back_equal_of_the_same_type_and_fresh(annotation: object, value: object) -> None:
    codec = codec_for(annotation)

    text = codec.encode(value, "it")
    first, second = codec.decode(text), codec.decode(text)

    assert text.isascii()
    assert first == second == value
    assert type(first) is type(value)
    if isinstance(value, dict | list | Order | Team | Visit):
        assert first is not second


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
emails = st.sampled_from(["ada@example.com", "bob@example.org"])
finite = st.floats(allow_nan=False, allow_infinity=False)
plain_json = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
instants = st.datetimes(timezones=st.just(UTC))
amounts = st.decimals(allow_nan=False, allow_infinity=False)
lines = st.builds(Line, names, amounts, st.integers())
orders = st.builds(
    Order,
    st.uuids(),
    st.lists(lines, max_size=2),
    instants,
    st.sets(names, max_size=2),
    st.dictionaries(st.sampled_from(Level), st.sampled_from(Colour)),
    st.none() | names,
)
users = st.builds(User, email=emails, age=st.integers(0, 200), born=st.none() | st.dates())
trees = st.recursive(
    st.builds(Tree, names, st.just([])),
    lambda inner: st.builds(Tree, names, st.lists(inner, max_size=2)),
    max_leaves=4,
)
typed_values = st.one_of(
    st.tuples(st.just(object), plain_json),
    st.tuples(st.just(dict[str, Any]), st.dictionaries(names, plain_json, max_size=2)),
    st.tuples(st.just(dict[int, float]), st.dictionaries(st.integers(), finite, max_size=2)),
    st.tuples(st.just(list[datetime | None]), st.lists(instants | st.none(), max_size=2)),
    st.tuples(st.just(timedelta), st.timedeltas()),
    st.tuples(st.just(bytes), st.binary(max_size=8)),
    st.tuples(st.just(set[Pair]), st.sets(st.builds(Pair, st.integers(), names), max_size=2)),
    st.tuples(st.just(Order), orders),
    st.tuples(st.just(Tree), trees),
    st.tuples(st.just(User), users),
    st.tuples(st.just(Team), st.builds(Team, users=st.lists(users, max_size=2), lead=st.none() | users)),
    st.tuples(st.just(Visit), st.builds(Visit, users, st.lists(names, max_size=2))),
    st.tuples(st.just(Invoice), st.builds(Invoice, users, orders)),
    st.tuples(st.just(Line | Point), lines | st.builds(Point, st.integers(), st.integers())),
)


@settings(deadline=None)
@given(typed_values)
def test_any_value_survives_the_way_through_json(case: tuple[object, object]) -> None:
    annotation, value = case
    codec = codec_for(annotation)

    text = codec.encode(value, "it")
    first, second = codec.decode(text), codec.decode(text)

    assert first == second == value
    assert type(first) is type(value)
    assert codec.encode(first, "it") == text or isinstance(value, set | Order | Invoice)


class Plug:
    socket: Socket


@dataclass
class HoldsSocket:
    sockets: list[Socket]


class HoldsSocketToo(msgspec.Struct):
    user: User
    socket: Socket


class StructWithConstraint(msgspec.Struct):
    amount: Annotated[int, pydantic.Field(gt=0)]


class StructWithAccount(msgspec.Struct):
    account: Account


class StructWithPydanticDataclass(msgspec.Struct):
    price: Price


class Undefined(pydantic.BaseModel):
    later: Later  # type: ignore[name-defined]  # noqa: F821  # nobody defines it


@pytest.mark.parametrize(
    ("annotation", "named"),
    [
        (Socket, "Socket"),
        (list[Socket], "Socket"),
        (HoldsSocket, r"HoldsSocket: no way is known to make Socket"),
        (HoldsSocketToo, "make Socket"),
        (list[Socket | User], "Socket"),
        (Socket | None, "Socket"),
        (Iterator[int], "Iterator"),
        (AsyncIterator[int], "AsyncIterator"),
        (Callable[[], int], "Callable"),
        (complex, "complex"),
        (dict[tuple[int, int], int], "a key must be a str"),
        (dict[bool, int], "a key must be a str"),
        (dict[int | str, int], "a key must be a str"),
        (set[Line], "hashable"),
        (set[tuple[list[int], ...]], "hashable"),
        (set[Ping], "hashable"),
        (set[tuple[int, Tree]], "hashable"),
        (list[Line | Point], "more than one dataclass"),
        (StructWithConstraint, "write it with msgspec.Meta"),
        (StructWithPydanticDataclass, "Price is not validated"),
        (Annotated[Ping, pydantic.Field(title="x")], "msgspec.Meta"),
        (Undefined, "Undefined"),
        ("Order", "Order"),
        (list["Order"], "Order"),
        ({"type": "object"}, "type"),
        (Line("a", Decimal(1)), "Line"),
        (3, "3"),
    ],
    ids=repr,
)
def test_an_annotation_that_json_cannot_be_turned_into_is_refused_when_the_job_is_defined(
    annotation: object, named: str
) -> None:
    with pytest.raises(ConfigurationError, match=named):
        codec_for(annotation)


def test_the_refusal_says_what_to_use() -> None:
    with pytest.raises(
        ConfigurationError, match=r"dataclasses, TypedDict, NamedTuple, msgspec Structs or pydantic"
    ):
        codec_for(Socket)


def test_the_same_annotation_has_one_codec() -> None:
    assert codec_for(list[Order]) is codec_for(list[Order])
    assert codec_for(Literal[1]) is not codec_for(Literal[True])
    assert codec_for(None) is codec_for(Any) is codec_for(object) is PLAIN


# --- what does not fit


@pytest.mark.parametrize(
    ("annotation", "text", "expected"),
    [
        (int, '"x"', ("$", "Expected `int`, got `str`")),
        (Line, '{"sku": "a"}', ("$.price", "required field is missing")),
        (list[Line], '[{"sku": "a", "price": "1"}, {}]', ("$[1].sku", "required field is missing")),
        (Order, '{"lines": [{"sku": 3}]}', ("$.lines[0].sku", "Expected `str`, got `int`")),
        (dict[str, list[int]], '{"a": [1], "b c": [1, "x"]}', ('$["b c"][1]', "Expected `int`, got `str`")),
        (
            dict[str, Line],
            '{"a": {"sku": "a", "price": 1}, "b": {}}',
            ("$.b.sku", "required field is missing"),
        ),
        (dict[int, int], '{"x": 1}', ("$", "Expected `int`, got `str` as a key")),
        (Visit, '{"user": {"email": "nope"}, "pages": []}', ("$.user.email", "value is not a valid email")),
        (Visit, '{"user": {"email": "a@b.de"}}', ("$.pages", "required field is missing")),
        (
            dict[str, Visit],
            '{"v": {"user": {"email": "a@b.de"}, "pages": [], "others": {"x": {"email": 3}}}}',
            ("$.v.others.x.email", "Input should be a valid string"),
        ),
        (Annotated[int, msgspec.Meta(gt=0)], "0", ("$", "Expected `int` >= 1")),
        (Annotated[int, pydantic.Field(gt=0)], "0", ("$", "Input should be greater than 0")),
        (Literal["a"], '"b"', ("$", "Invalid enum value 'b'")),
        (set[Any], "[[]]", ("$", "unhashable")),
        (float, "1e400", ("$", "Number out of range")),
        (NoneType, "1", ("$", "Expected `null`, got `int`")),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_mismatch_is_named_by_its_path(annotation: object, text: str, expected: tuple[str, str]) -> None:
    path, message = issues_of(annotation, text)[0]

    assert path == expected[0]
    assert expected[1] in message


def test_the_guilty_key_is_found_among_many_in_dictionaries_inside_each_other() -> None:
    rows = [f'"k{number}": {{"ok": 1}}' for number in range(50)]
    rows[31] = '"k31": {"ok": 1, "bad": "x", "worse": []}'
    rows[40] = '"k40": {"bad": "y"}'

    assert issues_of(dict[str, dict[str, int]], f"{{{', '.join(rows)}}}")[0][0] == "$.k31.bad"


def test_a_key_that_cannot_be_found_cheaply_stays_unnamed() -> None:
    large = f'{{"a": {[0] * 40_000}, "b": ["x"]}}'

    assert issues_of(dict[str, list[int]], large)[0][0] == "$[...][0]"
    assert issues_of(
        msgspec.defstruct("Dotted", [("x", dict[str, int])], rename={"x": "a.b"}), '{"a.b": {"k": ""}}'
    ) == (("$.a.b[...]", "Expected `int`, got `str`"),)


def test_pydantic_tells_every_mismatch_and_union_members_are_no_steps() -> None:
    text = '{"users": [{"email": "a@b.de", "age": -1}, {}], "by_name": {"x y": {"email": 3}}, "lead": 5}'

    assert issues_of(Team, text) == (
        ("$.users[0].age", "Input should be greater than or equal to 0"),
        ("$.users[1].email", "Field required"),
        ('$.by_name["x y"].email', "Input should be a valid string"),
        ("$.lead", "Input should be an object"),
    )
    assert {path for path, _ in issues_of(list[User | Price], '[{"age": 1}]')} == {
        "$[0].email",
        "$[0].amount",
    }


def test_a_list_that_is_wrong_throughout_is_told_in_a_hundred_issues() -> None:
    issues = issues_of(list[User], f"[{','.join(['{}'] * 1500)}]")

    assert len(issues) == 101
    assert issues[-2:] == (("$[99].email", "Field required"), ("$", "and 1,400 more"))


def test_a_union_tells_what_each_member_wanted() -> None:
    assert issues_of(Line | Point, '{"x": 1}') == (
        ("$.sku", "required field is missing (as Line)"),
        ("$.y", "required field is missing (as Point)"),
    )


@dataclass
class Small:
    x: int


@dataclass
class Large:
    x: int
    y: int = 0


@dataclass
class Twin:
    x: int


def test_a_union_takes_the_member_that_a_text_fits_without_rest() -> None:
    assert codec_for(Small | Large).decode('{"x": 1, "y": 2}') == Large(1, 2)
    assert codec_for(Large | Small).decode('{"x": 1}') == Small(1)
    assert codec_for(Small | Line).decode('{"x": 1, "unknown": 2}') == Small(1)


def test_a_value_that_would_be_read_back_as_another_member_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"it is a Twin that would be read back as Small: .* tag=True"):
        codec_for(Small | Twin).encode(Twin(1), "it")
    assert codec_for(datetime | str).encode("some text", "it") == '"some text"'
    with pytest.raises(InvalidInput, match=r"it is a str that would be read back as datetime"):
        codec_for(datetime | str).encode("2026-01-01T12:00:00Z", "it")


# --- what cannot be stored


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (float, math.nan),
        (list[float], [math.inf]),
        (dict[int, float], {1: math.nan}),
        (Tree, Tree("\ud800")),
        (Any, {1: 2}),
        (dict, {1: 2}),
        (dict[int, Any], {1: Socket()}),
        (Visit, Visit(ADA, [Socket()])),  # type: ignore[list-item]  # that is the point
        (Loose, Loose(anything=Socket())),
        (Loose, Loose(ratio=math.nan)),
        (Loose, Loose(anything={"deep": [math.inf]})),
        (list[Loose], [Loose(anything=(None, -math.inf))]),
        (Account, Account(name="x", password=pydantic.SecretStr("hush"))),
        (StructWithAccount, StructWithAccount(Account(name="x", password=pydantic.SecretStr("hush")))),
        (StructWithAccount, StructWithAccount(Loose(anything=math.nan))),  # type: ignore[arg-type]  # as above
        (dict[int, Any], {1: Loose(anything=math.nan)}),
        (dict[str, Account], {"a": Account(name="x", password=pydantic.SecretStr("hush"))}),
    ],
    ids=repr,
)
def test_a_value_that_json_would_change_is_refused(annotation: object, value: object) -> None:
    with pytest.raises(InvalidInput, match="the result of task 'k'"):
        codec_for(annotation).encode(value, "the result of task 'k'")


def test_a_value_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)

    for annotation in (Any, list[Any], dict[int, Any], list[User | list[Any]]):
        with pytest.raises(InvalidInput):
            codec_for(annotation).encode(endless, "it")


def test_an_empty_secret_and_a_null_are_no_reason_to_refuse() -> None:
    empty = Account(name="x", password=pydantic.SecretStr(""))

    assert codec_for(Account).decode(codec_for(Account).encode(empty, "it")) == empty
    assert codec_for(Loose).encode(Loose(anything=[None, 1.5]), "it") == '{"anything":[null,1.5],"ratio":0.0}'


def test_subclasses_of_plain_types_are_stored_as_those() -> None:
    class Name(str):
        __slots__ = ()

    class Ratio(float):
        __slots__ = ()

    class Count(int):
        __slots__ = ()

    mixed = {1: [Name("a"), Ratio(1.5), Count(3)]}

    assert codec_for(dict[int, list[Any]]).encode(mixed, "it") == '{"1":["a",1.5,3]}'


# --- pydantic


def test_a_model_is_stored_under_the_names_it_reads() -> None:
    assert codec_for(Camel).encode(Camel(userId=3), "it") == '{"userId":3}'


def test_a_model_with_two_names_for_a_field_reads_a_payload_under_its_own() -> None:
    assert codec_for(TwoNames).decode('{"userId": 3}') == TwoNames.model_validate({"userId": 3})


def test_a_model_that_is_read_by_name_only_is_written_by_name() -> None:
    class ByName(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(validate_by_alias=False, validate_by_name=True)
        user_id: int = pydantic.Field(alias="userId")

    value = ByName.model_validate({"user_id": 3})

    assert codec_for(ByName).decode(codec_for(ByName).encode(value, "it")) == value


def test_a_missing_field_with_a_path_as_alias_is_told_at_the_object_it_is_missing_in() -> None:
    class First(pydantic.BaseModel):
        first: int = pydantic.Field(validation_alias=pydantic.AliasPath("items", 0))

    assert codec_for(First).decode('{"items": [7]}') == First.model_validate({"items": [7]})
    assert issues_of(First, '{"items": ["x"]}')[0][0] == "$.items[0]"
    assert issues_of(First, "{}") == (("$", "Field required"),)


def test_a_union_reads_a_member_that_could_not_be_written_again() -> None:
    read = codec_for(Loose | Ping).decode('{"ratio": "NaN"}')

    assert isinstance(read, Loose)
    assert math.isnan(read.ratio)


def test_a_model_is_read_as_annotated_though_a_subclass_was_returned() -> None:
    class Admin(User):
        rights: int = 7

    admin = Admin(email="a@b.de")

    assert codec_for(User).decode(codec_for(User).encode(admin, "it")) == User(email="a@b.de")
    visit = codec_for(Visit).decode(codec_for(Visit).encode(Visit(admin, []), "it"))
    assert visit == Visit(User(email="a@b.de"), [])


def test_what_only_looks_like_a_model_becomes_one() -> None:
    text = codec_for(User).encode({"email": "a@b.de"}, "it")

    assert codec_for(User).decode(text) == User(email="a@b.de")


def test_without_models_in_an_annotation_pydantic_is_not_imported() -> None:
    program = (
        "import sys, dataclasses, typing\n"
        "from zopio_trigger.sdk.schema import json_schema\n"
        "from zopio_trigger.sdk.codec import codec_for, result_codec\n"
        "@dataclasses.dataclass\n"
        "class A:\n"
        "    x: typing.Annotated[int, 'a word']\n"
        "codec_for(dict[str, list[A]]).decode('{}'); json_schema(A); result_codec(lambda: 1)\n"
        "sys.exit('pydantic' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# --- results


def returns_int() -> int:
    return 1


def returns_line() -> Line:
    raise NotImplementedError


def returns_socket() -> Socket:
    raise NotImplementedError


def returns_nothing() -> None: ...


def returns_numbers() -> Iterator[int]:
    yield 1


class Service:
    def method(self) -> Line:
        raise NotImplementedError

    def __call__(self) -> Line:
        raise NotImplementedError


@pytest.mark.parametrize(
    "function",
    [
        returns_line,
        Service().method,
        Service(),
        functools.partial(returns_line),
        functools.partial(Service().method),
        functools.lru_cache(returns_line),
        Line,
    ],
    ids=repr,
)
def test_results_are_rebuilt_as_the_function_says(function: Callable[..., object]) -> None:
    text, result = encode_result(function, Line("a", Decimal(1)), "k")

    assert result == Line("a", Decimal(1))
    assert decode_result(function, text, "k") == result
    assert decode_result(function, text, "k") is not result


@pytest.mark.parametrize(
    "function",
    [returns_socket, returns_nothing, returns_numbers, lambda: 1, len, str.upper, "".join],
    ids=repr,
)
def test_results_without_a_type_to_rebuild_are_plain_json(function: Callable[..., object]) -> None:
    assert result_codec(function) is PLAIN
    assert encode_result(function, {"a": (1, NOON)}, "k")[1] == {"a": [1, "2026-01-01T12:00:00Z"]}
    assert encode_result(function, None, "k") == ("null", None)


def test_a_result_of_another_type_than_annotated_is_refused_in_words() -> None:
    with pytest.raises(
        InvalidInput,
        match=r"^task 'k' returned \"x\" but is annotated int \(\$: Expected `int`, got `str`\); correct",
    ):
        encode_result(returns_int, "x", "k")
    with pytest.raises(InvalidInput) as caught:
        encode_result(returns_line, {"sku": "x" * 500, "price": {}}, "k")
    assert caught.value.path == "$.price"
    assert len(str(caught.value)) < 300


def test_a_stored_result_that_no_longer_fits_says_how_to_go_on() -> None:
    with pytest.raises(
        InvalidInput, match=r"stored result of task 'k' is \"x\", but .* annotated int .* rename the task"
    ):
        decode_result(returns_int, '"x"', "k")


def test_a_result_that_json_cannot_carry_is_named_by_its_task() -> None:
    with pytest.raises(InvalidInput, match="the result of task 'k'"):
        encode_result(returns_socket, Socket(), "k")


def test_the_codec_of_a_function_is_kept_as_long_as_the_function() -> None:
    def local() -> int:
        return 1

    before = len(codecs._known)
    assert result_codec(local) is result_codec(local) is result_codec(functools.partial(local))
    assert len(codecs._known) == before + 1

    del local
    gc.collect()
    assert len(codecs._known) == before


def test_methods_and_callable_objects_leave_nothing_behind_with_each_object() -> None:
    result_codec(Service().method)
    result_codec(Service())
    before = len(codecs._known)

    for _ in range(10):
        result_codec(Service().method)
        result_codec(Service())
        result_codec(functools.partial(returns_int))

    assert len(codecs._known) <= before + 1
