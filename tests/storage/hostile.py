"""Rows full of what is legal and awkward: text that looks like something else, numbers at their ends."""

from __future__ import annotations

from itertools import cycle
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from zopio_trigger.model.records import Row

R = TypeVar("R", bound=Row)

LARGEST = 2**63 - 1

# Emoji, quotes, SQL, JSON escapes of NUL and of half a surrogate pair (as stored JSON has them), format characters,
# line and paragraph separators, white space that a parser might trim.
AWKWARD = " '\"`;--\\u0000\\ud800 \\\\n \U0001f98a\u2028\u2029\u202e%s {} [\n\t] null \x7f\u00e9 \uffff "


def full(kind: type[R]) -> R:
    """A row with something in every column, different in each: a mixed-up order cannot go unnoticed."""
    return kind(*[_something(name, hint, place) for place, (name, hint) in enumerate(_fields(kind))])


def bare(kind: type[R]) -> R:
    """A row with nothing in every column that can be empty: no text, 0, None."""
    return kind(*[_nothing(name, hint) for name, hint in _fields(kind)])


def lookalike(kind: type[R]) -> R:
    """A row whose texts look like values of other types."""
    words = cycle(("null", "123", "1e5", "true", "NaN", "-0", "0x10", "1.0", "x'00'", "[]", "{}", "None"))
    return kind(*[
        next(words) if str in _kinds(hint) else _something(name, hint, place)
        for place, (name, hint) in enumerate(_fields(kind))
    ])  # fmt: skip


def _fields(kind: type[Row]) -> list[tuple[str, Any]]:
    hints = get_type_hints(kind)
    return [(name, hints[name]) for name in kind.__struct_fields__]


def _something(name: str, hint: Any, place: int) -> object:
    if name == "revision":
        return 1
    if get_origin(hint) is Literal:
        return get_args(hint)[0]
    if bool in _kinds(hint):
        return True
    return f"{name}{AWKWARD}" if str in _kinds(hint) else LARGEST - place


def _nothing(name: str, hint: Any) -> object:
    if name == "revision":
        return 1
    if get_origin(hint) is Literal:
        return get_args(hint)[-1]
    kinds = _kinds(hint)
    if NoneType in kinds:
        return None
    return False if bool in kinds else "" if str in kinds else 0


def _kinds(hint: Any) -> tuple[Any, ...]:
    """The types a field can have."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
