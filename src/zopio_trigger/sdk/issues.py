"""Where a JSON text does not fit a type: errors of msgspec and pydantic as `(JSON path, message)` pairs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from zopio_trigger.errors import InvalidPayload
from zopio_trigger.model import json
from zopio_trigger.model.faults import shown

Issue = tuple[str, str]

# Naming the key of a dictionary costs about twenty decodes; above this many characters we say `[...]`.
_EXACT_PATH_LIMIT = 64_000

# A list of 100,000 items can be wrong 100,000 times; nobody reads that, and it would be stored.
_MOST_ISSUES = 100

_AT_PATH = re.compile(r"(?P<message>.*) - at `(?P<key>key` in `)?(?P<path>\$.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.+)`")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_SOME_KEY = "..."


class PartMismatchError(ValueError):
    """A part of a text does not fit; msgspec adds where that part stands and hands it on as the cause."""

    def __init__(self, error: InvalidPayload) -> None:
        super().__init__(str(error))
        self.issues = error.issues


def issues_of_msgspec(
    error: msgspec.DecodeError, text: str, decode: Callable[[str], object]
) -> tuple[Issue, ...]:
    """The first mismatch as an issue (msgspec stops there); all of them inside a pydantic model.

    Parameters:
        error: what `decode(text)` raised.
        decode: the decoder, to find out which key of a dictionary msgspec means by `[...]`.
    """
    message, path = _message_and_path(error)
    path = _exact_path(path, text, lambda candidate: _complains(decode, candidate, str(error)))
    if isinstance(error.__cause__, PartMismatchError):
        return tuple((path + inner.removeprefix("$"), said) for inner, said in error.__cause__.issues)
    missing = _MISSING.fullmatch(message)
    if missing:
        return ((path + shown(missing[1]), "required field is missing"),)
    return ((path, message),)


def issues_of_pydantic(errors: Sequence[dict[str, Any]], text: str) -> tuple[Issue, ...]:
    """Every mismatch that pydantic found; the first hundred, and how many more there are.

    Parameters:
        errors: what `ValidationError.errors()` gives.
        text: the JSON text that was validated. A location of pydantic also names union members and
            validators; the text tells which of its parts are keys.
    """
    document = json.decode(text)
    issues = tuple((_path_of(error, document), str(error["msg"])) for error in errors[:_MOST_ISSUES])
    left_out = len(errors) - len(issues)
    return (*issues, ("$", f"and {left_out:,} more")) if left_out else issues


def _message_and_path(error: msgspec.DecodeError) -> tuple[str, str]:
    found = _AT_PATH.fullmatch(str(error))
    if found is None:
        return str(error), "$"
    return found["message"] + (" as a key" if found["key"] else ""), found["path"]


def _path_of(error: dict[str, Any], document: Any) -> str:
    path, here = "$", document
    names_a_missing_field = error["type"] == "missing" and isinstance(error["loc"][-1], str)
    for part_no, part in enumerate(error["loc"], start=1):
        if _has(here, part):
            path, here = path + shown(part), here[part]
        elif names_a_missing_field and part_no == len(error["loc"]):
            path += shown(part)
    return path


def _has(document: Any, part: str | int) -> bool:
    if isinstance(document, dict):
        return part in document
    return isinstance(document, list) and isinstance(part, int) and part < len(document)


def _complains(decode: Callable[[str], object], text: str, complaint: str) -> bool:
    try:
        decode(text)
    except msgspec.DecodeError as error:
        return str(error) == complaint
    return False


def _exact_path(path: str, text: str, complains: Callable[[str], bool]) -> str:
    """`path` with each `[...]` replaced by the key it stands for, or as it is when that cannot be told."""
    if _SOME_KEY not in path or len(text) > _EXACT_PATH_LIMIT:
        return path
    document: Any = json.decode(text)
    here, exact = document, "$"
    for name, index in _STEP.findall(path):
        key = name or (index if index == _SOME_KEY else int(index))
        if index == _SOME_KEY:
            key = _narrow_to_guilty_key(here, lambda: complains(json.encode(document, what="the payload")))
        try:
            here, exact = here[key], exact + shown(key)
        except (KeyError, IndexError, TypeError):  # a key with a dot in it, or a text that fits when narrowed
            return path
    return exact


def _narrow_to_guilty_key(mapping: Any, complains: Callable[[], bool]) -> str | None:
    """Leave in `mapping` only the first entry without which the text would be accepted up to there.

    What comes first is complained of first: the guilty entry is the last one of the shortest beginning that
    still gets the same complaint.
    """
    if not isinstance(mapping, dict):
        return None
    entries = list(mapping.items())
    fine, guilty = 0, len(entries)
    while guilty - fine > 1:
        middle = (fine + guilty) // 2
        _replace(mapping, entries[:middle])
        fine, guilty = (fine, middle) if complains() else (middle, guilty)
    _replace(mapping, entries[fine:guilty])
    return entries[fine][0] if complains() else None


def _replace(mapping: dict[str, object], entries: list[tuple[str, object]]) -> None:
    mapping.clear()
    mapping.update(entries)
