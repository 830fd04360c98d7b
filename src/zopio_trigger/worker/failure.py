"""Exceptions as stored errors. Whatever an exception does when it is looked at, this ends with an error to store."""

from __future__ import annotations

import hashlib
import os
import re
import sysconfig
import traceback
from pathlib import Path
from types import TracebackType

from zopio_trigger.errors import InvalidPayload, TaskFailed
from zopio_trigger.model import json

MAX_MESSAGE = 8_192  # bytes of an exception's text that are kept
MAX_TRACEBACK = 16_384  # bytes of a traceback that are kept
MAX_TYPE = 256  # bytes of the name of its class that are kept
MAX_FRAMES = 50

_OUR_FOLDER = str(Path(__file__).parent.parent)
_LIBRARIES = tuple({sysconfig.get_paths()[kind] + os.sep for kind in ("stdlib", "purelib", "platlib")})
_VARIABLE = re.compile(r"0x[0-9a-f]+|\d+|'[^']*'|\"[^\"]*\"")


def error_json(error: BaseException) -> str:
    """The error as JSON: `type`, `message`, `traceback`, `at` (the last line of the user's code), and what it adds."""
    try:
        return _error_json(error)
    except Exception as fault:  # an exception may lie about itself in more ways than are known here
        message = f"(it could not be read: {type(fault).__name__})"
        return json.encode(
            {"type": json.clip(type(error).__name__, MAX_TYPE), "message": message}, what="error"
        )


def _error_json(error: BaseException) -> str:
    frames = _frames(error.__traceback__)
    fields: dict[str, object] = {
        "type": _type_name(error),
        "message": message_of(error),
        "traceback": json.clip(_traceback(error), MAX_TRACEBACK),
    }
    if frames:
        last = frames[-1]
        fields["at"] = f"{last.filename}:{last.lineno} in {last.name}"
    if isinstance(error, TaskFailed):
        fields["task"] = error.key
    if isinstance(error, InvalidPayload):
        fields["issues"] = [{"path": path, "message": text} for path, text in error.issues]
    return json.encode(fields, what="error")


def message_of(error: BaseException) -> str:
    """The exception's text, cut to size; a note instead when it cannot be had. A `TaskFailed` has that of its task's
    error, as it has its type: the task is named beside them."""
    try:
        return json.clip(error.error_message if isinstance(error, TaskFailed) else str(error), MAX_MESSAGE)
    except BaseException as fault:  # the exception's own __str__ is user code
        return f"(its text could not be read: {type(fault).__name__})"


def fingerprint(error: BaseException) -> str:
    """Groups failures of one kind: type, message without numbers and quoted parts, and the user's last frame."""
    try:
        return _fingerprint(error)
    except Exception:  # as in `error_json`
        return "unreadable"


def _fingerprint(error: BaseException) -> str:
    frames = _frames(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].name}" if frames else ""
    text = f"{_type_name(error)}|{_VARIABLE.sub('?', message_of(error))}|{place}"
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def _type_name(error: BaseException) -> str:
    name = error.error_type if isinstance(error, TaskFailed) else type(error).__name__
    return json.clip(name, MAX_TYPE)


def _frames(trace: TracebackType | None) -> list[traceback.FrameSummary]:
    """The frames that are the user's."""
    return [frame for frame in traceback.extract_tb(trace, limit=MAX_FRAMES) if is_users_file(frame.filename)]


def is_users_file(filename: str) -> bool:
    """True for code that is neither ours nor a library's."""
    return not filename.startswith((_OUR_FOLDER + os.sep, "<frozen ", *_LIBRARIES))


def _traceback(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error, limit=MAX_FRAMES))
    except BaseException as fault:  # formatting asks the exception and its causes for their text
        return f"(its traceback could not be formatted: {type(fault).__name__})"
