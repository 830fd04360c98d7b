"""Event filters: the cases of the official matcher, what is refused, and that matching never fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zopio_trigger.errors import InvalidInput
from zopio_trigger.model.filters import MAX_DEPTH, MAX_NODES, compile_filter, merge

RECORDED = json.loads((Path(__file__).parent / "vectors_event_filters.json").read_text(encoding="utf-8"))
VECTORS: list[tuple[Any, dict[str, Any], bool]] = [
    (RECORDED["payload"], vector["filter"], vector["matches"]) for vector in RECORDED["vectors"]
] + [(vector["payload"], vector["filter"], vector["matches"]) for vector in RECORDED["otherPayloads"]]

REFUSED_BY_THE_OFFICIAL_PLATFORM = [
    {"name": ["Ada", {"$startsWith": "Z"}]},
    {"name": ["Bob", {"$startsWith": "A"}]},
    {"name": ["Ada", 1]},
    {"name": [1, "Bob"]},
    {"age": [{"$unknown": 1}]},
    {"age": [{}]},
]

KEYS = st.sampled_from("abc")
SCALARS = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
OPERATORS = st.one_of(
    *[st.fixed_dictionaries({name: st.text()}) for name in ("$startsWith", "$endsWith", "$ignoreCaseEquals")],
    *[st.fixed_dictionaries({name: st.booleans()}) for name in ("$exists", "$isNull")],
    *[st.fixed_dictionaries({name: NUMBERS}) for name in ("$gt", "$gte", "$lt", "$lte")],
    *[st.fixed_dictionaries({name: SCALARS}) for name in ("$anythingBut", "$includes", "$not")],
    st.fixed_dictionaries({"$between": st.lists(NUMBERS, min_size=2, max_size=2)}),
    st.fixed_dictionaries({"$anythingBut": st.lists(SCALARS)}),
)
MATCHERS = st.lists(OPERATORS) | st.lists(st.text()) | st.lists(NUMBERS) | st.lists(st.booleans())
FILTERS = st.recursive(
    st.dictionaries(KEYS, MATCHERS), lambda inner: st.dictionaries(KEYS, inner | MATCHERS), max_leaves=8
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
    max_leaves=15,
)


def matches(definition: object, value: object) -> bool:
    return compile_filter(definition).matches(value)


def nested(levels: int) -> dict[str, Any]:
    definition: dict[str, Any] = {"a": ["x"]}
    for _ in range(levels - 1):
        definition = {"a": definition}
    return definition


class TestOfficialCases:
    def test_there_are_78_for_one_payload_and_3_for_null(self) -> None:
        assert (len(RECORDED["vectors"]), len(VECTORS)) == (78, 81)

    @pytest.mark.parametrize(
        ("payload", "definition", "expected"), VECTORS, ids=lambda part: json.dumps(part)[:60]
    )
    def test_are_answered_as_by_the_official_matcher(
        self, payload: object, definition: dict[str, Any], expected: bool
    ) -> None:
        assert compile_filter(definition, strict=False).matches(payload) is expected

    @pytest.mark.parametrize(
        ("payload", "definition", "expected"), VECTORS, ids=lambda part: json.dumps(part)[:60]
    )
    def test_are_answered_alike_or_refused_where_the_official_platform_refused(
        self, payload: object, definition: dict[str, Any], expected: bool
    ) -> None:
        if definition in REFUSED_BY_THE_OFFICIAL_PLATFORM:
            with pytest.raises(InvalidInput):
                compile_filter(definition)
        else:
            assert matches(definition, payload) is expected


class TestMatching:
    @pytest.mark.parametrize(
        ("wanted", "value", "expected"),
        [
            ([1], True, False),
            ([True], 1, False),
            ([0], False, False),
            ([1], 1.0, True),
            ([1.0], 1, True),
            ([2**64], 2**64, True),
            (["1"], 1, False),
            ([{"$includes": 1}], [True], False),
            ([{"$includes": True}], [1, 1.0], False),
            ([{"$includes": 1}], [[1], 1.0], True),
            ([{"$not": 1}], [True], True),
            ([{"$not": 1}], True, True),
            ([{"$not": False}], 0, True),
            ([{"$not": "a"}], {"a": 1}, True),
            ([{"$anythingBut": [1, "a"]}], True, True),
            ([{"$anythingBut": [1, "a"]}], 1.0, False),
            ([{"$anythingBut": []}], "a", True),
            ([{"$gt": 0}], True, False),
            ([{"$gte": 10**400}], 1.5, False),
            ([{"$between": [0, 1]}], True, False),
            ([{"$between": [0, 1.5]}], 1.5, True),
        ],
    )  # fmt: skip
    def test_compares_by_json_type(self, wanted: list[object], value: object, expected: bool) -> None:
        assert matches({"a": wanted}, {"a": value}) is expected

    @pytest.mark.parametrize(
        ("operand", "value", "expected"),
        [
            ("STRASSE", "straße", True),
            ("é", "E\u0301", True),
            ("É", "e", False),
            ("Çelik", "çELİK".replace("İ", "I"), True),
            ("a", "ab", False),
        ],
    )
    def test_ignoring_case_keeps_accents(self, operand: str, value: str, expected: bool) -> None:
        assert matches({"a": [{"$ignoreCaseEquals": operand}]}, {"a": value}) is expected

    def test_one_element_of_an_array_must_match_all_of_the_sub_filter(self) -> None:
        definition = {"items": {"sku": ["x"], "qty": [{"$gt": 3}]}}

        assert matches(definition, {"items": [{"sku": "x", "qty": 4}]})
        assert not matches(definition, {"items": [{"sku": "x", "qty": 1}, {"sku": "y", "qty": 4}]})
        assert not matches(definition, {"items": []})
        assert not matches({"items": {}}, {"items": []})

    @pytest.mark.parametrize("value", [5, "abc", True, [], [{"a": "x"}]])
    def test_what_is_no_object_has_no_keys(self, value: object) -> None:
        assert not matches({"a": ["x"]}, value)
        assert matches({"a": [{"$exists": False}]}, value)

    def test_missing_is_not_null(self) -> None:
        assert matches({"a": [{"$isNull": False}]}, {})
        assert matches({"a": [{"$exists": True}, {"$isNull": True}]}, {"a": None})
        assert not matches({"a": [{"$not": "x"}]}, {"a": None})
        assert not matches({"a": {"b": [{"$exists": False}]}}, {"a": None})

    def test_all_operators_of_an_array_must_hold(self) -> None:
        definition = {"a": [{"$gt": 1}, {"$lt": 5}, {"$not": 3}]}

        assert [n for n in range(7) if matches(definition, {"a": n})] == [2, 4]

    @given(definition=FILTERS, value=VALUES)
    def test_never_raises(self, definition: dict[str, Any], value: object) -> None:
        assert matches(definition, value) in (True, False)

    @given(VALUES.filter(lambda value: value is not None))
    def test_an_empty_filter_matches_everything(self, value: object) -> None:
        assert matches({}, value)
        assert matches({"a": []}, value)


class TestRefused:
    @pytest.mark.parametrize(
        ("definition", "path", "words"),
        [
            (None, "", "is to be an object, got null"),
            ([], "", "got array"),
            ("x", "", "got string"),
            ({1: ["x"]}, "", "keys are strings"),
            ({"a": 36}, "$.a", "is number; put the value in an array"),
            ({"a": {"b": None}}, "$.a.b", "is null; put the value in an array"),
            ({"a": ["x", 1]}, "$.a", "mixes number and string"),
            ({"a": [True, 1]}, "$.a", "mixes boolean and number"),
            ({"a": ["x", {"$gt": 1}]}, "$.a", "mixes object and string"),
            ({"a": [None]}, "$.a[0]", 'write {"$isNull": true}'),
            ({"a": ["x", ["y"]]}, "$.a[1]", "is array"),
            ({"a": [1, float("nan")]}, "$.a[1]", "is nan"),
            ({"a": [object()]}, "$.a[0]", "is a Python object"),
            ({"a": object()}, "$.a", "is a Python object"),
            ({"a": [{"$startwith": "x"}]}, "$.a[0]", "did you mean $startsWith?"),
            ({"a": [{"$zzz": "x"}]}, "$.a[0]", "there are $startsWith, $endsWith"),
            ({"a": [{"x" * 9999: "x"}]}, "$.a[0]", "has " + "x" * 39 + "…, which is not an operator"),
            ({"a": [{None: "x"}]}, "$.a[0]", "has null, which is not an operator"),
            ({"a": [{}]}, "$.a[0]", "has 0 operators"),
            ({"a": [{"$gt": 1, "$lt": 5}]}, "$.a[0]", "write one object for each"),
            ({"a b": [{"$startsWith": 1}]}, '$["a b"][0].$startsWith', "takes a string, got number"),
            ({"a": [{"$endsWith": None}]}, "$.a[0].$endsWith", "takes a string, got null"),
            ({"a": [{"$ignoreCaseEquals": ["x"]}]}, "$.a[0].$ignoreCaseEquals", "takes a string, got array"),
            ({"a": [{"$exists": 1}]}, "$.a[0].$exists", "takes true or false, got number"),
            ({"a": [{"$isNull": "true"}]}, "$.a[0].$isNull", "takes true or false"),
            ({"a": [{"$gt": True}]}, "$.a[0].$gt", "takes a number, got boolean"),
            ({"a": [{"$lte": "5"}]}, "$.a[0].$lte", "takes a number, got string"),
            ({"a": [{"$gte": float("inf")}]}, "$.a[0].$gte", "takes a number, got inf"),
            ({"a": [{"$between": [1]}]}, "$.a[0].$between", "takes two numbers"),
            ({"a": [{"$between": 1}]}, "$.a[0].$between", "takes two numbers"),
            ({"a": [{"$between": [1, "2"]}]}, "$.a[0].$between[1]", "takes a number, got string"),
            ({"a": [{"$includes": ["x"]}]}, "$.a[0].$includes", "takes a string, a number or a boolean"),
            ({"a": [{"$not": None}]}, "$.a[0].$not", "takes no null"),
            ({"a": [{"$anythingBut": {"x": 1}}]}, "$.a[0].$anythingBut", "got object"),
            ({"a": [{"$anythingBut": ["x", None]}]}, "$.a[0].$anythingBut[1]", "takes no null"),
        ],
    )
    def test_with_the_place_and_the_reason(self, definition: object, path: str, words: str) -> None:
        with pytest.raises(InvalidInput) as refusal:
            compile_filter(definition)

        assert refusal.value.path == path
        assert words in str(refusal.value)
        assert str(refusal.value).startswith("the filter cannot be used: $")

    def test_deeper_than_64_levels(self) -> None:
        compile_filter(nested(MAX_DEPTH))

        for levels in (MAX_DEPTH + 1, 50_000):
            with pytest.raises(InvalidInput, match="deeper than the 64 levels"):
                compile_filter(nested(levels))

    def test_the_deepest_filter_still_matches(self) -> None:
        assert matches(nested(MAX_DEPTH), nested_arrays(MAX_DEPTH))

    @pytest.mark.parametrize(
        "definition",
        [
            {f"k{number}": [] for number in range(MAX_NODES + 1)},
            {"a": ["x"] * MAX_NODES},
            {"a": [{"$anythingBut": ["x"] * MAX_NODES}]},
            {"a": [{"$not": 1}] * MAX_NODES},
        ],
    )
    def test_more_than_a_thousand_nodes(self, definition: dict[str, Any]) -> None:
        with pytest.raises(InvalidInput, match="1,000 keys, values and operators"):
            compile_filter(definition)

    def test_exactly_a_thousand_nodes_are_accepted(self) -> None:
        assert matches({"a": ["x"] * (MAX_NODES - 1)}, {"a": "x"})

    def test_read_leniently_only_the_first_operator_of_an_object_counts(self) -> None:
        lenient = compile_filter({"a": [{"$gt": 1, "$lt": 5}]}, strict=False)

        assert lenient.matches({"a": 9})
        assert not lenient.matches({"a": 1})


class TestMerge:
    def test_objects_merge_and_arrays_are_replaced(self) -> None:
        first = {"a": ["x"], "b": {"c": [1], "d": [2]}, "e": ["kept"]}
        second = {"a": ["y", "z"], "b": {"d": [3]}, "f": [True]}

        assert merge(first, second) == {
            "a": ["y", "z"], "b": {"c": [1], "d": [3]}, "e": ["kept"], "f": [True],
        }  # fmt: skip
        assert first["b"] == {"c": [1], "d": [2]}

    def test_the_second_wins_where_they_differ_in_kind(self) -> None:
        assert merge({"a": ["x"], "b": {"c": [1]}}, {"a": {"c": [1]}, "b": ["x"]}) == {
            "a": {"c": [1]},
            "b": ["x"],
        }

    def test_refuses_absurd_nesting(self) -> None:
        with pytest.raises(InvalidInput, match="64 levels"):
            merge(nested(50_000), nested(50_000))


def nested_arrays(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {"a": "x"}
    for _ in range(levels - 1):
        value = {"a": [0, value]}
    return value
