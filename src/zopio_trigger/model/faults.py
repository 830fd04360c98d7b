"""Why a JSON text or a value is refused, and where in it.

Only called when something is refused or suspicious, so it is written for good answers, not for speed. The
door itself is `model/json`.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from enum import Enum
from math import isfinite, isinf
from typing import Any, Final, NamedTuple

import msgspec

ROOT: Final = "$"

READ_AT_MOST: Final = 262_144
"""Characters of a refused text that are searched for the fault: a refused body of 3 MB must not hold up all
others for a second. A fault behind that is reported without its path."""

Convert = Callable[[Any], object]
"""What to encode in place of an object msgspec has no form for; raises when there is nothing."""


class Fault(NamedTuple):
    """What is wrong, in words, and where: a JSON path (`$.items[3]`), or `""` for the value as a whole."""

    path: str
    reason: str


def too_deep(max_depth: int) -> str:
    """The reason against a text nested deeper than `max_depth`."""
    return f"it is nested more than {max_depth} levels deep"


def too_many_digits(max_digits: int) -> str:
    """The reason against an integer of more than `max_digits` characters."""
    return f"an integer is longer than {max_digits:,} digits, sign included; send it as a string"


def words(error: BaseException) -> str:
    """An exception in words, whatever its `__str__` does."""
    name = type(error).__name__
    try:
        text = str(error)
    except Exception:  # user code: an exception whose str() raises is still an exception to report
        return f"{name} (its text cannot be shown)"
    return f"{name}: {text[:500]}" if text else name


# --- texts


def in_text(text: str, *, max_depth: int, max_digits: int, at: str) -> Fault | None:
    """The first fault of a token in a JSON text; None when it lies in how the tokens follow each other.

    Parameters:
        at: the path of the text as a whole.
    """
    place: list[Step] = []
    for token in _TOKEN.finditer(text, 0, READ_AT_MOST):
        lexeme = token[1]
        if token.end() == READ_AT_MOST:
            return None  # cut in two by the limit
        if lexeme in _PUNCTUATION:
            _move(place, lexeme)
            reason = too_deep(max_depth) if len(place) > max_depth else None
        else:
            reason = _wrong_with(lexeme, max_digits)
        if reason is not None:
            return Fault(_path(place, at), reason)
        if lexeme[0] == '"' and place and place[-1] is None:
            place[-1] = json.loads(lexeme)
    return None


Step = str | int | None
"""Where one stands in an open container: index in an array, key in an object, None while a key is awaited."""

_TOKEN: Final = re.compile(
    r'[ \t\n\r]*+("[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{},:]|[^\s\[\]{},:"]++|\S)', re.DOTALL
)
_PUNCTUATION: Final = frozenset("[]{},:")


def _move(place: list[Step], mark: str) -> None:
    if mark == "[":
        place.append(0)
    elif mark == "{":
        place.append(None)
    elif not place:
        return
    elif mark == ",":
        here = place[-1]
        place[-1] = here + 1 if isinstance(here, int) else None
    elif mark != ":":
        place.pop()


def _wrong_with(lexeme: str, max_digits: int) -> str | None:
    if lexeme[0] == '"':
        return _wrong_with_string(lexeme)
    if lexeme in ("true", "false", "null"):
        return None
    number = _NUMBER.fullmatch(lexeme)
    if number is None:
        return f"{excerpt(lexeme)} is not a JSON value"
    if number["fraction"] or number["exponent"]:
        return f"{excerpt(lexeme)} is too large for a float" if isinf(float(lexeme)) else None
    return too_many_digits(max_digits) if len(lexeme) > max_digits else None


_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?P<fraction>\.[0-9]+)?(?P<exponent>[eE][+-]?[0-9]+)?")


def _wrong_with_string(lexeme: str) -> str | None:
    try:
        text = json.loads(lexeme)
    except ValueError as error:
        return f"the string {excerpt(lexeme)} is not well-formed ({error})"
    return _HALF_A_PAIR if _SURROGATE.search(text) else None


_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_HALF_A_PAIR: Final = "a string holds half of a surrogate pair, which is no character"


# --- values


def in_value(value: object, *, max_depth: int, max_digits: int, convert: Convert) -> Fault | None:
    """The first fault in a value that is to be encoded; None when all of it can be.

    Parameters:
        convert: the `enc_hook` of the encoder.
    """
    left: list[tuple[Trail, int, object]] = [
        (None, 0, value)
    ]  # no recursion: the value may be too deep for it
    while left:
        trail, depth, item = left.pop()
        try:
            reason, parts = _look_into(item, convert, max_digits)
        except Exception as error:  # the value's own code ran (properties, model_dump): it may raise anything
            reason, parts = _cannot_encode(item, error), []
        if reason is not None:
            return Fault(_path(_steps(trail), ROOT), reason)
        if parts and depth == max_depth:
            return Fault("", f"it holds itself, or is nested more than {max_depth} levels deep")
        left.extend(((trail, step), depth + 1, part) for step, part in reversed(parts))
    return None


Trail = tuple[Any, Step] | None
"""How one came to a part: (trail of its container, step therein)."""

Parts = list[tuple[Step, object]]


def _look_into(item: Any, convert: Convert, max_digits: int) -> tuple[str | None, Parts]:
    """What is wrong with an item itself, and the parts it consists of."""
    match item:
        case str():
            return (_HALF_A_PAIR if _SURROGATE.search(item) else None), []
        case float():
            return (None if isfinite(item) else f"{float(item)} is not a JSON number"), []
        case int():
            is_long = item.bit_length() > 3 * max_digits and abs(item) >= 10 ** (max_digits - (item < 0))
            return (too_many_digits(max_digits) if is_long else None), []
        case Mapping():
            return _wrong_with_keys(item), list(item.items())
        case list() | tuple() | set() | frozenset():
            return None, list(enumerate(item))
        case Enum():
            return _look_into(item.value, convert, max_digits)
        case msgspec.Raw():
            return "msgspec.Raw is not checked JSON", []
        case msgspec.Struct():
            return None, [(name, getattr(item, name)) for name in item.__struct_fields__]
    if dataclasses.is_dataclass(type(item)):
        return None, [
            (name, getattr(item, name)) for name in item.__dataclass_fields__ if hasattr(item, name)
        ]
    return _look_into_leaf(item, convert, max_digits)


def _look_into_leaf(item: Any, convert: Convert, max_digits: int) -> tuple[str | None, Parts]:
    if item is msgspec.UNSET:
        return None, []
    try:
        msgspec.json.encode(item)
    except TypeError:
        return _look_into(convert(item), convert, max_digits)
    return None, []


def _wrong_with_keys(mapping: Mapping[Any, object]) -> str | None:
    for key in mapping:
        if not isinstance(key, str):
            return f"a key is {_a(type(key))}, and JSON has only str keys"
        if _SURROGATE.search(key):
            return _HALF_A_PAIR.replace("string", "key")
    return None


def _cannot_encode(item: object, error: Exception) -> str:
    if isinstance(error, NotImplementedError):
        return (
            f"an object of type {type(item).__name__} has no JSON form; "
            "use plain values, dataclasses, msgspec Structs or pydantic models"
        )
    return f"an object of type {type(item).__name__} cannot be encoded: {words(error)}"


def _a(kind: type) -> str:
    return (
        "None" if kind is type(None) else f"{'an' if kind.__name__[0] in 'aeioAEIO' else 'a'} {kind.__name__}"
    )


def _steps(trail: Trail) -> list[Step]:
    steps: list[Step] = []
    while trail is not None:
        trail, step = trail
        steps.append(step)
    return steps[::-1]


# --- how faults are shown


def whole(at: str) -> str:
    """The path of a value as a whole: none, unless it is itself a part of something."""
    return "" if at == ROOT else at


def _path(steps: list[Step], at: str) -> str:
    way = "".join(map(shown, steps[:_STEPS_SHOWN])) + ("…" if len(steps) > _STEPS_SHOWN else "")
    return at + way if way else whole(at)


def shown(step: Step) -> str:
    """One step of a JSON path: `.name`, `["any key"]` or `[3]`."""
    if step is None:
        return ""
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _IDENTIFIER.fullmatch(step) else f"[{json.dumps(excerpt(step))}]"


def excerpt(text: str) -> str:
    """At most 40 characters of a text, fit for a message."""
    shown = text if len(text) <= 40 else text[:39] + "…"
    return shown if shown.isprintable() else ascii(shown)[1:-1]


_IDENTIFIER: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]{,63}")
_STEPS_SHOWN: Final = 16
