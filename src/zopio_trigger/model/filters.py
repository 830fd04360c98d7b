"""Event filters: which payloads a subscription wants, in the filter language of the 2.x SDK.

A filter is compiled once, when it is defined or loaded, into functions that answer for one value each;
matching can then not fail. Values compare by their JSON type: `True` is not 1, `"36"` is not 36, 1 is 1.0.

    filter   = { key: filter | [scalar, ...] | [{operator: operand}, ...] }

All keys of an object and all operators of an array must hold; of an array of scalars, one must be equal. An
object descends one level, where one matching element of an array is enough; a missing or null value there
matches only `{}`. An empty array matches anything.

Source: `eventFilterMatches` of `@trigger.dev/core` 2.3.19 (78 recorded cases are tests).
"""

from __future__ import annotations

import operator
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from zopio_trigger.errors import InvalidInput
from zopio_trigger.model import faults
from zopio_trigger.model.names import nearest

MAX_DEPTH: Final = 64
"""Objects inside each other: far more than payloads have, far less than Python's recursion limit."""

MAX_NODES: Final = 1_000
"""Keys, values and operators: bounds what one event costs to match."""

Test = Callable[[object], bool]


@dataclass(frozen=True, slots=True)
class Filter:
    """A compiled filter; made by `compile_filter`."""

    _test: Test

    def matches(self, value: object) -> bool:
        """True when a JSON value, such as the payload of an event, passes. Raises nothing."""
        return self._test(value)


def compile_filter(definition: object, *, strict: bool = True) -> Filter:
    """Check a filter and make it ready to match.

    Parameters:
        definition: a JSON object; at most 64 levels deep, at most 1,000 keys, values and operators.
        strict: refuse what the official matcher lets pass in silence (default): unknown operators, arrays
            that mix kinds, more than one operator in an object. False reads them as that matcher does: an
            unknown operator holds, scalars beside operators or beside scalars of other kinds are ignored,
            and only the first operator of an object counts.

    Raises:
        InvalidInput: not a filter; `path` says where (`$.address.zip[0]`).
    """
    return Filter(_Compiler(strict=strict).compile(definition, faults.ROOT, depth=1))


def merge(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Both filters in one: objects are merged key by key; what else `second` has replaces what `first` has.

    Raises:
        InvalidInput: nested more than 64 levels deep.
    """
    return _merged(first, second, depth=1)


def _merged(first: Mapping[str, Any], second: Mapping[str, Any], *, depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        raise InvalidInput(f"a filter is nested more than {MAX_DEPTH} levels deep")
    merged = dict(first)
    for key, theirs in second.items():
        ours = first.get(key)
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            theirs = _merged(ours, theirs, depth=depth + 1)
        merged[key] = theirs
    return merged


# --- compiling


class _Compiler:
    """One pass over one filter; counts its nodes."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self._nodes = 0

    def compile(self, definition: object, path: str, *, depth: int) -> Test:
        if not isinstance(definition, Mapping):
            raise _invalid(path, f"is to be an object, got {_kind(definition)}")
        if depth > MAX_DEPTH:
            raise _invalid(path, f"is deeper than the {MAX_DEPTH} levels a filter may have")
        self._count(len(definition), path)
        return _all_keys(tuple((key, self._key(key, part, path, depth)) for key, part in definition.items()))

    def _key(self, key: object, part: object, path: str, depth: int) -> Test:
        if not isinstance(key, str):
            raise _invalid(path, f"has a key that is {_kind(key)}; keys are strings")
        here = path + faults.shown(key)
        if isinstance(part, Mapping):
            return _below(self.compile(part, here, depth=depth + 1))
        if isinstance(part, list | tuple):
            self._count(len(part), here)
            return self._array(part, here)
        raise _invalid(here, f"is {_kind(part)}; put the value in an array: [value]")

    def _array(self, items: Sequence[object], path: str) -> Test:
        if not items:
            return _anything
        kinds = {_kind(item) for item in items}
        if len(kinds) == 1 and kinds <= _SCALARS:
            return _among(items)
        if self._strict:
            _refuse_mixture(items, kinds, path)
        objects = ((index, item) for index, item in enumerate(items) if isinstance(item, Mapping))
        return _all(tuple(self._operator(item, f"{path}[{index}]") for index, item in objects))

    def _operator(self, item: Mapping[object, object], path: str) -> Test:
        if self._strict:
            _refuse_other_than_one_operator(item, path)
        name = next(iter(item), None)
        if not isinstance(name, str) or name not in _OPERATORS:
            return _anything
        operand = item[name]
        if isinstance(operand, list | tuple):
            self._count(len(operand), path)
        return _OPERATORS[name](operand, path + faults.shown(name))

    def _count(self, nodes: int, path: str) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise _invalid(path, f"is where the filter exceeds {MAX_NODES:,} keys, values and operators")


def _refuse_mixture(items: Sequence[object], kinds: set[str], path: str) -> None:
    for index, item in enumerate(items):
        if item is None:
            raise _invalid(f"{path}[{index}]", 'is null; write {"$isNull": true}')
        if _kind(item) not in _SCALARS | {"object"}:
            raise _invalid(f"{path}[{index}]", f"is {_kind(item)}; expected a scalar or an operator")
    if len(kinds) > 1:
        raise _invalid(path, f"mixes {' and '.join(sorted(kinds))}; all items are to be of one kind")


def _refuse_other_than_one_operator(item: Mapping[object, object], path: str) -> None:
    for name in item:
        if name not in _OPERATORS:
            guess = nearest(name, _OPERATORS) if isinstance(name, str) else None
            hint = f"did you mean {guess}?" if guess else f"there are {', '.join(_OPERATORS)}"
            shown = faults.excerpt(name) if isinstance(name, str) else _kind(name)
            raise _invalid(path, f"has {shown}, which is not an operator; {hint}")
    if len(item) != 1:
        raise _invalid(path, f"has {len(item)} operators; write one object for each, all of them must hold")


# --- tests of values


class _Missing:
    """The value of a key that is not there, which is not null."""


_MISSING: Final = _Missing()


def _anything(_value: object) -> bool:
    return True


def _all_keys(tests: tuple[tuple[str, Test], ...]) -> Test:
    if not tests:
        return _anything

    def test(value: object) -> bool:
        if value is None or value is _MISSING:
            return False
        get = value.get if isinstance(value, dict) else _no_key
        for key, holds in tests:  # noqa: SIM110  # all() with a generator takes twice as long
            if not holds(get(key, _MISSING)):
                return False
        return True

    return test


def _no_key(_key: str, default: object) -> object:
    return default


def _below(holds: Test) -> Test:
    return lambda value: any(map(holds, value)) if isinstance(value, list) else holds(value)


def _all(tests: tuple[Test, ...]) -> Test:
    return tests[0] if len(tests) == 1 else lambda value: all(holds(value) for holds in tests)


def _among(scalars: Iterable[object]) -> Test:
    """Equal to one of these, which is of the same JSON type."""
    wanted: dict[str, set[object]] = {kind: set() for kind in _SCALARS}
    for scalar in scalars:
        wanted[_kind(scalar)].add(scalar)
    texts, booleans, numbers = wanted["string"], wanted["boolean"], wanted["number"]

    def test(value: object) -> bool:
        if isinstance(value, str):
            return value in texts
        if isinstance(value, bool):
            return value in booleans
        return isinstance(value, int | float) and value in numbers

    return test


# --- operators: operand and its path in, test out


def _starts_with(operand: object, path: str) -> Test:
    prefix = _text(operand, path)
    return lambda value: isinstance(value, str) and value.startswith(prefix)


def _ends_with(operand: object, path: str) -> Test:
    suffix = _text(operand, path)
    return lambda value: isinstance(value, str) and value.endswith(suffix)


def _ignore_case_equals(operand: object, path: str) -> Test:
    wanted = _without_case(_text(operand, path))
    return lambda value: isinstance(value, str) and _without_case(value) == wanted


def _without_case(text: str) -> str:
    """Case and how an accent is composed do not count, the accent does (canonical caseless match)."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())


def _exists(operand: object, path: str) -> Test:
    if _boolean(operand, path):
        return lambda value: value is not _MISSING
    return lambda value: value is _MISSING


def _is_null(operand: object, path: str) -> Test:
    if _boolean(operand, path):
        return lambda value: value is None
    return lambda value: value is not None


def _anything_but(operand: object, path: str) -> Test:
    is_among = _among(_scalars(operand, path))
    return lambda value: not is_among(value)


def _includes(operand: object, path: str) -> Test:
    is_equal = _among((_scalar(operand, path),))
    return lambda value: isinstance(value, list) and any(map(is_equal, value))


def _not(operand: object, path: str) -> Test:
    is_equal = _among((_scalar(operand, path),))

    def test(value: object) -> bool:
        if isinstance(value, list):
            return not any(map(is_equal, value))
        return value is not None and value is not _MISSING and not is_equal(value)

    return test


def _comparison(compare: Callable[[Any, Any], bool]) -> Callable[[object, str], Test]:
    def make(operand: object, path: str) -> Test:
        bound = _number(operand, path)
        return lambda value: _is_number(value) and compare(value, bound)

    return make


def _between(operand: object, path: str) -> Test:
    if not isinstance(operand, list | tuple) or len(operand) != 2:
        raise _invalid(path, "takes two numbers, [lowest, highest]")
    low, high = (_number(bound, f"{path}[{index}]") for index, bound in enumerate(operand))
    return lambda value: _is_number(value) and low <= value <= high  # type: ignore[operator]  # it is a number


_OPERATORS: Final[dict[str, Callable[[object, str], Test]]] = {
    "$startsWith": _starts_with,
    "$endsWith": _ends_with,
    "$ignoreCaseEquals": _ignore_case_equals,
    "$exists": _exists,
    "$isNull": _is_null,
    "$anythingBut": _anything_but,
    "$gt": _comparison(operator.gt),
    "$gte": _comparison(operator.ge),
    "$lt": _comparison(operator.lt),
    "$lte": _comparison(operator.le),
    "$between": _between,
    "$includes": _includes,
    "$not": _not,
}


# --- operands


def _text(operand: object, path: str) -> str:
    if not isinstance(operand, str):
        raise _invalid(path, f"takes a string, got {_kind(operand)}")
    return operand


def _boolean(operand: object, path: str) -> bool:
    if not isinstance(operand, bool):
        raise _invalid(path, f"takes true or false, got {_kind(operand)}")
    return operand


def _number(operand: object, path: str) -> int | float:
    if _kind(operand) != "number":
        raise _invalid(path, f"takes a number, got {_kind(operand)}")
    return operand  # type: ignore[return-value]  # a number, as its kind says


def _scalar(operand: object, path: str) -> object:
    if operand is None:
        raise _invalid(path, 'takes no null; use {"$isNull": true} or {"$isNull": false}')
    if _kind(operand) not in _SCALARS:
        raise _invalid(path, f"takes a string, a number or a boolean, got {_kind(operand)}")
    return operand


def _scalars(operand: object, path: str) -> list[object]:
    if isinstance(operand, list | tuple):
        return [_scalar(item, f"{path}[{index}]") for index, item in enumerate(operand)]
    return [_scalar(operand, path)]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kind(value: object) -> str:
    """The JSON type of a value, as messages call it."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "string"
        case int():
            return "number"
        case float():
            return "number" if isfinite(value) else str(float(value))
        case list() | tuple():
            return "array"
        case Mapping():
            return "object"
    return f"a Python {type(value).__name__}"  # not to be taken for one of the above, whatever it is called


_SCALARS: Final = frozenset({"string", "number", "boolean"})


def _invalid(path: str, problem: str) -> InvalidInput:
    return InvalidInput(f"the filter cannot be used: {path} {problem}", path=faults.whole(path))
