"""The one JSON door: what is accepted and kept as sent, what is encoded, and where a refusal points."""

from __future__ import annotations

import dataclasses
import enum
import json as stdlib
import math
from collections import OrderedDict, UserDict, deque
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zopio_trigger.errors import ConfigurationError, InvalidInput, TooLarge
from zopio_trigger.model import json
from zopio_trigger.model.faults import READ_AT_MOST
from zopio_trigger.model.json import Limits

TIGHT = Limits(max_bytes=200, max_depth=3, max_digits=5)

TEXT = st.text(st.characters(codec="utf-8"))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=20,
)


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


class TestAccept:
    @pytest.mark.parametrize(
        "text",
        [
            "1e2",
            "1.50",
            "-0",
            "1E+5",
            "123456789012345678901234567890",
            "-123456789012345678901234567890",
            "9" * 4300,
            "0." + "1" * 5000,
            r'"\u0000"',
            r'"\u00e9 \/ \n \" \\"',
            r'"\\ud800"',
            r'"\ud83d\ude00"',
            '{"a":1,"a":2}',
            '{"b" : [ 1 ,\n\t2\r\n] }',
            '"\x7f"',
            "null",
            '""',
        ],
    )
    def test_keeps_every_token_as_sent(self, text: str) -> None:
        assert json.accept(text.encode(), what="it") == text

    def test_escapes_only_what_is_not_ascii(self) -> None:
        body = '{"şehir" :\n"İstanbul \\n \\u0041 \\" \\\\ \x7f 😀"}'

        text = json.accept(body.encode(), what="it")

        assert text == ('{"\\u015fehir" :\n"\\u0130stanbul \\n \\u0041 \\" \\\\ \x7f \\ud83d\\ude00"}')

    @given(value=JSON_VALUES, indent=st.sampled_from([None, 1, "\t"]))
    def test_what_is_accepted_means_the_same(self, value: object, indent: int | str | None) -> None:
        body = stdlib.dumps(value, ensure_ascii=False, indent=indent)

        text = json.accept(body.encode(), what="it")

        assert text.isascii()
        assert stdlib.loads(text) == value
        assert json.decode(text) == value

    @pytest.mark.parametrize(
        ("body", "path", "words"),
        [
            (b"NaN", "", "NaN is not a JSON value"),
            (b'{"a":[1,NaN]}', "$.a[1]", "NaN is not a JSON value"),
            (b'{"a":{"b c":-Infinity}}', '$.a["b c"]', "-Infinity is not a JSON value"),
            (b'{"a":[{"x":1},{"x":1e400}]}', "$.a[1].x", "1e400 is too large for a float"),
            (b"[0,-1e999]", "$[1]", "too large"),
            (b'{"a":"\\ud800"}', "$.a", "surrogate pair"),
            (b'{"a":"\\ude00\\ud83d"}', "$.a", "surrogate pair"),
            (b'{"a":{"\\udc00":1}}', "$.a", "surrogate pair"),
            (b"[1," + b"9" * 4301 + b"]", "$[1]", "4,300 digits"),
            (b"[1,-" + b"9" * 4300 + b"]", "$[1]", "4,300 digits"),
            (b'{"a":{"b":[{"c":01}]}}', "$.a.b[0].c", "01 is not a JSON value"),
            (b'{"a":tru}', "$.a", "tru is not a JSON value"),
            (b"{'a':1}", "", "'a' is not a JSON value"),
            (b'["a\nb"]', "$[0]", "not well-formed"),
            (b'["\\q"]', "$[0]", "not well-formed"),
            (b'["abc', "$[0]", "not well-formed"),
            (b"[1,]", "", "trailing comma"),
            (b"1 2", "", "trailing characters"),
            (b'{"a" 1}', "", "expected ':'"),
            (b"", "", "truncated"),
            (b"\xef\xbb\xbf1", "", r"\ufeff1 is not a JSON value"),
            (b'"\xff"', "", "not UTF-8 (byte 1)"),
            (b'"\xed\xa0\x80"', "", "not UTF-8"),
            (nested(513).encode(), "$" + "[0]" * 16 + "…", "more than 512 levels"),
            (b'{"a":' * 100_000, "$" + ".a" * 16 + "…", "more than 512 levels"),
        ],
    )
    def test_refuses_with_the_place_and_the_reason(self, body: bytes, path: str, words: str) -> None:
        with pytest.raises(InvalidInput) as refusal:
            json.accept(body, what="the payload")

        assert refusal.value.path == path
        assert words in str(refusal.value)
        assert str(refusal.value).startswith("the payload cannot be accepted: ")
        assert len(str(refusal.value)) < 300

    @given(st.binary(max_size=30) | st.text('[]{}",:\\u0dD8tfnNaI1eE+-. \n', max_size=30).map(str.encode))
    def test_accepts_what_the_standard_library_reads_and_refuses_the_rest(self, body: bytes) -> None:
        def strict() -> None:
            value = stdlib.loads(body.decode(), parse_constant=pytest.fail, parse_float=_finite)
            stdlib.dumps(value, ensure_ascii=False).encode()

        try:
            strict()
        except (ValueError, pytest.fail.Exception):
            with pytest.raises(InvalidInput):
                json.accept(body, what="it")
        else:
            assert json.accept(body, what="it").isascii()

    def test_depth_of_512_is_accepted(self) -> None:
        assert json.accept(nested(512).encode(), what="it") == nested(512)

    @pytest.mark.parametrize("text", ['[[["[[[[[ {{{ \\" [[["]]]', "[[[1],[2]],{},{},[],[[],[],{}]]"])
    def test_brackets_count_only_while_open_and_outside_of_strings(self, text: str) -> None:
        assert json.accept(text.encode(), what="it", limits=TIGHT) == text

    @given(JSON_VALUES, st.integers(1, 9))
    def test_depth_is_measured_exactly(self, value: object, limit: int) -> None:
        body = stdlib.dumps(value, ensure_ascii=False).encode()

        if depth_of(value) <= limit:
            json.accept(body, what="it", limits=Limits(max_depth=limit))
        else:
            with pytest.raises(InvalidInput, match=f"more than {limit} levels"):
                json.accept(body, what="it", limits=Limits(max_depth=limit))

    @pytest.mark.parametrize("depth", [7, 8, 9, 10, 17, 40])
    def test_depth_of_towers_side_by_side_is_measured_exactly(self, depth: int) -> None:
        body = ("[" + ",".join(['{"a":' * (depth - 1) + "1" + "}" * (depth - 1)] * 20) + "]").encode()

        json.accept(body, what="it", limits=Limits(max_depth=depth))
        with pytest.raises(InvalidInput):
            json.accept(body, what="it", limits=Limits(max_depth=depth - 1))

    def test_a_lower_limit_of_digits_counts_integers_only(self) -> None:
        json.accept(b'[12345,-1234,"123456",123456.5,0.123456,123456e1]', what="it", limits=TIGHT)

        with pytest.raises(InvalidInput) as refusal:
            json.accept(b'["123456",{"n":-123456}]', what="it", limits=TIGHT)
        assert refusal.value.path == "$[1].n"

    def test_too_large_names_both_sizes_before_reading_anything(self) -> None:
        with pytest.raises(TooLarge, match="the payload has 201 bytes, and 200 are allowed"):
            json.accept(b"x" * 201, what="the payload", limits=TIGHT)

    def test_a_fault_far_behind_is_refused_without_its_path(self) -> None:
        body = b"[" + b'"a",' * (READ_AT_MOST // 4) + b"tru]"

        with pytest.raises(InvalidInput) as refusal:
            json.accept(body, what="it")
        assert refusal.value.path == ""

    def test_a_part_names_its_place_in_the_whole(self) -> None:
        with pytest.raises(InvalidInput) as inside:
            json.accept_raw(msgspec.Raw(b"[1e400]"), what="the payload", at="$.event.payload")
        with pytest.raises(InvalidInput) as whole:
            json.accept_raw(msgspec.Raw(b'"\xff"'), what="the payload", at="$.event.payload")

        assert inside.value.path == "$.event.payload[0]"
        assert whole.value.path == "$.event.payload"
        assert json.accept_raw(msgspec.Raw('"é"'.encode()), what="the payload") == '"\\u00e9"'

    def test_limits_of_digits_beyond_what_can_be_read_are_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="from 1 to 4,300"):
            Limits(max_digits=4301)


class Body(msgspec.Struct):
    name: str
    payload: msgspec.Raw


READER = msgspec.json.Decoder(Body)


class TestRead:
    def test_slices_raw_parts_out_of_a_body(self) -> None:
        body = json.read(b'{"name":"a", "payload": {"n": 1e2} }', READER, what="the body")

        assert body.name == "a"
        assert json.accept_raw(body.payload, what="the payload") == '{"n": 1e2}'

    @pytest.mark.parametrize(
        ("text", "path", "words"),
        [
            (b'{"name":1,"payload":1}', "$.name", "Expected `str`, got `int`"),
            (b'{"name":"a"}', "", "missing required field `payload`"),
            (b"[]", "", "Expected `object`"),
            (b'{"name":"a","payload":', "", "not JSON"),
            (b'{"name":"\xff"}', "", "not UTF-8"),
            (b'{"name":"\\ud800","payload":1}', "$.name", "surrogate"),
            (b'{"name":"a","payload":' + b"[" * 200_000, "$.payload" + "[0]" * 15 + "…", "512 levels"),
        ],
    )
    def test_refuses_what_has_not_the_shape(self, text: bytes, path: str, words: str) -> None:
        with pytest.raises(InvalidInput) as refusal:
            json.read(text, READER, what="the body")

        assert refusal.value.path == path
        assert words in str(refusal.value)

    def test_refuses_what_is_too_large(self) -> None:
        with pytest.raises(TooLarge):
            json.read(b" " * 201, READER, what="the body", limits=TIGHT)


class Colour(enum.Enum):
    RED = "red"
    ODD = math.nan


class Level(enum.IntEnum):
    LOW = 1


class Shout(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise KeyError("no text")


class Metres(float):
    pass


@dataclasses.dataclass
class Point:
    x: object
    scale: dataclasses.InitVar[int] = 1


@dataclasses.dataclass(slots=True)
class Slotted:
    x: object


class Row(msgspec.Struct, rename="camel"):
    first_name: object
    left_out: object = msgspec.UNSET


class Model(pydantic.BaseModel):
    at: datetime
    ratio: float = 0.5


class TestEncode:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ({"a": [1, 2.5, None, True, "é😀\0"]}, '{"a":[1,2.5,null,true,"\\u00e9\\ud83d\\ude00\\u0000"]}'),
            ((1, (2,)), "[1,[2]]"),
            ({7}, "[7]"),
            (frozenset({7}), "[7]"),
            (10**30, "1" + "0" * 30),
            (-0.0, "-0.0"),
            (Decimal("1.50"), '"1.50"'),
            (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
            (datetime(2026, 1, 31, 9, tzinfo=UTC), '"2026-01-31T09:00:00Z"'),
            (date(2026, 1, 31), '"2026-01-31"'),
            (timedelta(days=1), '"P1D"'),
            (b"ab", '"YWI="'),
            (Colour.RED, '"red"'),
            (Level.LOW, "1"),
            (Shout("x"), '"x"'),
            (Metres(1.5), "1.5"),
            (Point(1), '{"x":1}'),
            ([Slotted(2)], '[{"x":2}]'),
            (Row("Ada"), '{"firstName":"Ada"}'),
            (Model(at=datetime(2026, 1, 31, tzinfo=UTC)), '{"at":"2026-01-31T00:00:00Z","ratio":0.5}'),
            (UserDict(a=1), '{"a":1}'),
            (OrderedDict(a=1), '{"a":1}'),
            (MappingProxyType({"a": 1}), '{"a":1}'),
        ],
    )
    def test_takes_what_programs_have(self, value: object, text: str) -> None:
        assert json.encode(value, what="it") == text

    @given(JSON_VALUES)
    def test_decode_gives_the_value_back(self, value: object) -> None:
        text = json.encode(value, what="it")

        assert text.isascii()
        assert json.decode(text) == value
        assert json.accept(text.encode(), what="it") == text

    @pytest.mark.parametrize("digits", [4299, 4300])
    @pytest.mark.parametrize("sign", [1, -1])
    def test_an_integer_that_is_encoded_can_be_decoded(self, digits: int, sign: int) -> None:
        number = sign * 10 ** (digits - 1)

        if digits == 4300 and sign == -1:
            with pytest.raises(InvalidInput, match="4,300 digits"):
                json.encode(["x", number], what="it")
        else:
            assert json.decode(json.encode(number, what="it")) == number

    @pytest.mark.parametrize(
        ("value", "path", "words"),
        [
            (math.nan, "", "nan is not a JSON number"),
            ({"a": [1, math.inf]}, "$.a[1]", "inf is not a JSON number"),
            ({"a": [None, {"b": -math.inf}]}, "$.a[1].b", "-inf is not a JSON number"),
            ([Metres(math.nan)], "$[0]", "nan is not a JSON number"),
            ([Colour.ODD], "$[0]", "nan is not a JSON number"),
            (Point(math.nan), "$.x", "nan is not a JSON number"),
            ([Slotted((1, math.nan))], "$[0].x[1]", "nan is not a JSON number"),
            (Row([math.nan]), "$.first_name[0]", "nan is not a JSON number"),
            (
                {"m": Model(at=datetime(2026, 1, 1, tzinfo=UTC), ratio=math.nan)},
                "$.m.ratio",
                "not a JSON number",
            ),
            (OrderedDict(a=math.nan), "$.a", "nan is not a JSON number"),
            ({1: 2}, "", "a key is an int"),
            ({"a": {None: 2}}, "$.a", "a key is None"),
            ([{True: 2}], "$[0]", "a key is a bool"),
            ({"a": {1.5: 2}}, "$.a", "a key is a float"),
            ({(1,): 2}, "", "a key is a tuple"),
            ({date(2026, 1, 1): 2}, "", "a key is a date"),
            ({UUID(int=1): 2}, "", "a key is a UUID"),
            ({Colour.RED: 2}, "", "a key is a Colour"),
            (Point({1: 2}), "$.x", "a key is an int"),
            ("\ud800", "", "surrogate pair"),
            ({"a": ["x", "\udfff"]}, "$.a[1]", "surrogate pair"),
            ({"a": {"\ud800": 1}}, "$.a", "a key holds half of a surrogate pair"),
            ({"n": 10**4300}, "$.n", "longer than 4,300 digits"),
            ({"a": [object()]}, "$.a[0]", "an object of type object has no JSON form"),
            (deque([1]), "", "type deque has no JSON form"),
            (int, "", "type type has no JSON form"),
            (Model, "", "has no JSON form"),
            (ValueError("x"), "", "type ValueError has no JSON form"),
            ({"a": iter([1])}, "$.a", "has no JSON form"),
            ({"a b": 1j}, '$["a b"]', "type complex has no JSON form"),
            ([msgspec.Raw(b"{bad")], "$[0]", "not checked JSON"),
        ],
    )
    def test_refuses_with_the_place_and_the_reason(self, value: object, path: str, words: str) -> None:
        with pytest.raises(InvalidInput) as refusal:
            json.encode(value, what="the output of task 'a'")

        assert refusal.value.path == path
        assert words in str(refusal.value)
        assert str(refusal.value).startswith("the output of task 'a' cannot be accepted: ")

    def test_refuses_values_that_hold_themselves(self) -> None:
        own_list: list[Any] = [1]
        own_list.append(own_list)
        own_dict: dict[str, Any] = {}
        own_dict["a"] = {"b": own_dict}

        for value in (own_list, own_dict, Point(own_list)):
            with pytest.raises(InvalidInput, match="holds itself"):
                json.encode(value, what="it")

    @pytest.mark.parametrize("depth", [512, 513, 900, 100_000])
    def test_depth_is_limited_whatever_python_can_bear(self, depth: int) -> None:
        value: list[Any] = []
        for _ in range(depth - 1):
            value = [value]

        if depth <= 512:
            assert json.encode(value, what="it") == nested(depth)
        else:
            with pytest.raises(InvalidInput, match="more than 512 levels"):
                json.encode(value, what="it")

    def test_too_large_says_how_large(self) -> None:
        with pytest.raises(TooLarge, match="has 202 bytes"):
            json.encode("x" * 200, what="it", limits=TIGHT)

    def test_the_limit_is_that_of_the_sender_not_of_the_escaped_text(self) -> None:
        assert len(json.encode("é" * 99, what="it", limits=TIGHT)) == 2 + 6 * 99


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise KeyError("even my text fails")

    __repr__ = __str__


class Hostile:
    """An object all of whose methods raise."""

    def __init__(self, error: Exception) -> None:
        object.__setattr__(self, "error", error)

    def __repr__(self) -> str:
        raise object.__getattribute__(self, "error")

    __str__ = __repr__

    def model_dump(self, mode: str) -> object:
        raise object.__getattribute__(self, "error")


class Evasive:
    def __getattr__(self, name: str) -> object:
        raise ZeroDivisionError(name)


class Endless:
    def model_dump(self, mode: str) -> object:
        return self


class Fickle:
    """Answers well the first time and badly the second."""

    def __init__(self) -> None:
        self.calls = 0

    def model_dump(self, mode: str) -> object:
        self.calls += 1
        if self.calls > 1:
            raise RuntimeError("only once")
        return {"a": 1}


class TestHostileValues:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: Hostile(ValueError("no")),
            lambda: Hostile(RecursionError()),
            lambda: Hostile(StopIteration()),
            lambda: Hostile(UnspeakableError()),
            lambda: Hostile(UnicodeEncodeError("utf-8", "\ud800", 0, 1, "no")),
            Evasive,
            Endless,
            Fickle,
        ],
    )
    def test_whatever_an_object_does_it_is_refused_and_nothing_else_is_raised(
        self, make: Callable[[], object]
    ) -> None:
        with pytest.raises(InvalidInput) as refusal:
            json.encode({"a": [make()]}, what="it")

        assert refusal.value.path == "$.a[0]"
        assert "an object of type" in str(refusal.value)


class TestDecode:
    def test_integers_are_exact_at_any_size(self) -> None:
        assert json.decode("[18446744073709551616,-9223372036854775809]") == [2**64, -(2**63) - 1]

    def test_each_call_gives_a_fresh_value(self) -> None:
        first = json.decode('{"a":[]}')
        first["a"].append(1)

        assert json.decode('{"a":[]}') == {"a": []}

    @pytest.mark.parametrize("text", ["", "{", "1e400", "NaN", '"\\ud800"', "[" * 100_000])
    def test_refuses_text_that_never_came_through_the_door(self, text: str) -> None:
        with pytest.raises(InvalidInput, match="stored text is not JSON"):
            json.decode(text)


class TestCanonical:
    def test_sorts_keys_and_drops_spaces_at_every_level(self) -> None:
        assert json.canonical('{"b": [ {"z":1, "a":2} ], "a": "é\\u00e9"}') == (
            '{"a":"\\u00e9\\u00e9","b":[{"a":2,"z":1}]}'
        )

    @settings(max_examples=30)
    @given(st.dictionaries(TEXT, JSON_VALUES, max_size=4))
    def test_does_not_depend_on_the_order_or_the_spelling(self, value: dict[str, object]) -> None:
        reversed_text = stdlib.dumps(dict(reversed(value.items())), indent=1, ensure_ascii=False)

        assert json.canonical(reversed_text) == json.canonical(json.encode(value, what="it"))


class TestClip:
    def test_leaves_short_text_alone(self) -> None:
        assert json.clip("Grüße\n", 64) == "Grüße\n"

    def test_cuts_between_characters_and_says_so(self) -> None:
        clipped = json.clip("é" * 5_350_000, 1000)

        assert clipped.endswith("é… (cut, 10.2 MB)")
        assert 990 < len(clipped.encode()) <= 1000

    def test_replaces_what_cannot_be_stored_and_joins_split_pairs(self) -> None:
        assert (
            json.clip("a\ud800b \ud83d\ude00 \0", 64)
            == "a\N{REPLACEMENT CHARACTER}b 😀 \N{REPLACEMENT CHARACTER}"
        )

    @given(st.text(st.characters(exclude_categories=())), st.integers(64, 100))
    def test_the_result_always_fits_and_can_be_encoded(self, text: str, max_bytes: int) -> None:
        clipped = json.clip(text, max_bytes)

        assert len(clipped.encode()) <= max_bytes
        assert json.decode(json.encode(clipped, what="it")) == clipped

    def test_refuses_a_length_without_room_for_the_notice(self) -> None:
        with pytest.raises(ValueError, match="at least 64"):
            json.clip("a", 63)


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


def _finite(text: str) -> float:
    if math.isinf(float(text)):
        raise ValueError(text)
    return float(text)
