"""The one JSON door: every JSON text that is stored or sent has passed `accept` or `encode`.

What comes in from outside is checked and kept token for token; our own and users' values are encoded by
msgspec behind a guard. Both leave as ASCII text, which SQLite, PostgreSQL and HTTP carry without harm. Why
and where a text or value is refused is found by `model/faults`, slowly, on refusal only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import accumulate
from json.encoder import encode_basestring_ascii
from math import isfinite
from types import NoneType
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from zopio_trigger.errors import ConfigurationError, InvalidInput, TooLarge
from zopio_trigger.model import faults
from zopio_trigger.model.faults import Fault

T = TypeVar("T")

MSGSPEC_DIGITS: Final = 4300
"""msgspec refuses integers of more characters (digits and sign) itself, before it reads them."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How large one JSON text may be.

    Parameters:
        max_bytes: size in UTF-8 bytes, as sent; escaped to ASCII it may take three times that. Default 3 MB.
        max_depth: arrays and objects inside each other; default 512. Beyond about 900, Python's own recursion
            limit refuses first.
        max_digits: characters of one integer, from 1 to 4,300 (the default, and the most msgspec reads).
    """

    max_bytes: int = 3_145_728
    max_depth: int = 512
    max_digits: int = 4300

    def __post_init__(self) -> None:
        if not 1 <= self.max_digits <= MSGSPEC_DIGITS:
            raise ConfigurationError(
                f"max_digits is {self.max_digits}; it must be from 1 to {MSGSPEC_DIGITS:,}"
            )


DEFAULT: Final = Limits()


def accept(body: bytes, *, what: str, limits: Limits = DEFAULT) -> str:
    """The JSON text that somebody sent, checked, as ASCII.

    Every token stays as the sender wrote it (`1e2`, 30-digit integers, `\\u0000`, white space between tokens,
    keys that occur twice); only characters outside ASCII become `\\uXXXX`.

    Parameters:
        body: the text in UTF-8, without byte order mark.
        what: how error messages call it: `"the payload"`.
        limits: see `Limits`.

    Raises:
        TooLarge: over `max_bytes`.
        InvalidInput: not UTF-8, not JSON, over another limit; NaN or Infinity; a float too large to be one
            (`1e400`); half of a surrogate pair (`"\\ud800"`), which is no character and most readers refuse.
    """
    if len(body) > limits.max_bytes:
        raise _too_large(len(body), what, limits)
    return _accepted(body, what, limits, faults.ROOT)


def accept_raw(
    raw: msgspec.Raw | bytes, *, what: str, limits: Limits = DEFAULT, at: str = faults.ROOT
) -> str:
    """Like `accept`, for a part of a body whose size was checked when the whole was `read`.

    Parameters:
        raw: the part. msgspec has only found its end: its numbers, characters and depth are checked here.
        at: JSON path of the part within the body, so that errors name `$.event.payload[3]`.
    """
    return _accepted(bytes(raw), what, limits, at)


def read(body: bytes, decoder: msgspec.json.Decoder[T], *, what: str, limits: Limits = DEFAULT) -> T:
    """A whole request body in its expected shape. Parts to keep as sent are `msgspec.Raw`; see `accept_raw`.

    Raises:
        TooLarge: over `max_bytes`.
        InvalidInput: not JSON, or not of this shape; `path` says where.
    """
    if len(body) > limits.max_bytes:
        raise _too_large(len(body), what, limits)
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _misshapen(error, what) from error
    except (ValueError, RecursionError) as error:
        raise _unacceptable(body, what, limits, faults.ROOT, _reason(error, limits)) from error


def encode(value: object, *, what: str, limits: Limits = DEFAULT) -> str:
    """A value of ours or of a user as ASCII JSON text.

    Takes JSON values, tuples, sets, dataclasses, msgspec Structs, pydantic models (what has a `model_dump`),
    enums, Decimal, UUID, date and time (as text), timedelta (ISO 8601), bytes (base64), mappings, and
    subclasses of str, int and float. Names of fields and order are those of msgspec.

    Parameters:
        value: what to encode.
        what: how error messages call it: `"the output of task 'fetch'"`.
        limits: see `Limits`.

    Raises:
        TooLarge: over `max_bytes`.
        InvalidInput: it holds NaN or Infinity, a key that is not a str, half of a surrogate pair, itself, or
            an object that has no JSON form or whose own code raised; `path` says where. Nothing else is
            raised, whatever the value's methods do.
    """
    try:
        body = _ENCODER.encode(value)
        is_sound = _is_sound(value)
    except Exception as error:  # the value's own code ran (model_dump, properties): it may raise anything
        raise _unencodable(value, what, limits, error) from error
    if len(body) > limits.max_bytes:
        raise _too_large(len(body), what, limits)
    fault = None if is_sound else _fault_in(value, limits)
    if fault is not None:
        raise _invalid(fault, what)
    _check_extent(body, what, limits, faults.ROOT)
    return _ascii(body)


def decode(text: str) -> Any:
    """The value of a JSON text that has passed this door; integers of any size are exact.

    Raises:
        InvalidInput: the text is not JSON, which means that it did not come through this door.
    """
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"stored text is not JSON: {error}") from error


def canonical(text: str) -> str:
    """The same JSON with sorted keys, no spaces and numbers as Python writes them: equal values, equal text.

    Parameters:
        text: JSON text that has passed this door. (For a value: `canonical(encode(value, what=...))`.)

    `1e2` and `100.0` become the same text; `100` and `100.0` stay two, as they are two in Python's output.
    """
    return _ascii(_CANONICAL_ENCODER.encode(decode(text)))


def clip(text: str, max_bytes: int) -> str:
    """Text that can always be stored: at most `max_bytes` long, and cut with words that say so.

    Parameters:
        text: any str. Halves of surrogate pairs, and NUL, which PostgreSQL cannot hold, become U+FFFD.
        max_bytes: length of the result in UTF-8, notice included; at least 64.

    >>> clip("x" * 100, 64)
    'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx… (cut, 100 bytes)'
    """
    if max_bytes < 64:
        raise ValueError(f"max_bytes is {max_bytes}; the notice of the cut needs at least 64")
    data = _storable(text).encode()
    if len(data) <= max_bytes:
        return data.decode()
    notice = f"… (cut, {_size(len(data))})"
    kept = data[: max_bytes - len(notice.encode())]
    return kept.decode(errors="ignore") + notice


# --- what comes in


def _accepted(body: bytes, what: str, limits: Limits, at: str) -> str:
    try:
        _DECODER.decode(body)  # builds and drops the value: the one check of msgspec that leaves nothing out
    except (ValueError, RecursionError) as error:
        raise _unacceptable(body, what, limits, at, _reason(error, limits)) from error
    _check_extent(body, what, limits, at)
    return _ascii(body)


_DECODER: Final = msgspec.json.Decoder()


def _ascii(body: bytes) -> str:
    """Valid JSON with its non-ASCII characters escaped and nothing else changed.

    The escaper of the standard library escapes too much, for it expects the inside of one string. Once the
    backslashes of the text are put aside as NUL, which is never raw in JSON, the surplus is undone exactly.
    (A regular expression that calls back for each run takes three to ten times as long.)
    """
    if body.isascii():
        return body.decode("ascii")
    text = encode_basestring_ascii(body.decode().replace("\\", "\0"))[1:-1]
    for escaped, plain in _SURPLUS:
        text = text.replace(escaped, plain)
    return text


_SURPLUS: Final = (
    (r"\"", '"'),
    (r"\n", "\n"),
    (r"\r", "\r"),
    (r"\t", "\t"),
    (r"\u007f", "\x7f"),
    (r"\u0000", "\\"),  # last: it brings backslashes back
)


def _check_extent(body: bytes, what: str, limits: Limits, at: str) -> None:
    """Refuses valid JSON that is too deep or holds too long an integer. Cheap counts answer nearly always."""
    if len(body) > limits.max_depth:
        openers = body.count(b"[") + body.count(b"{")
        if openers > limits.max_depth and _depth(body) > limits.max_depth:
            raise _unacceptable(body, what, limits, at, faults.too_deep(limits.max_depth))
    if len(body) > limits.max_digits:
        has_long_digits = b"0" * limits.max_digits in body.translate(_DIGITS_AS_ZERO)
        if has_long_digits and _longest_integer(body) > limits.max_digits:
            raise _unacceptable(body, what, limits, at, faults.too_many_digits(limits.max_digits))


_DIGITS_AS_ZERO: Final = bytes.maketrans(b"123456789", b"0" * 9)


def _depth(body: bytes) -> int:
    """How many containers are open at once, at most. Its time is linear, whatever the brackets look like."""
    brackets = _without_strings(body).translate(_BRACES_AS_BRACKETS, _NOT_BRACKETS)
    collapsed = 0
    while collapsed < 8 and brackets:  # ordinary data is gone after these, without a loop over its brackets
        brackets = brackets.replace(b"[]", b"")
        collapsed += 1
    steps = (len(run) if run[0] == _OPENER else -len(run) for run in _RUN.findall(brackets))
    return collapsed + max(accumulate(steps), default=0)


_BRACES_AS_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_RUN: Final = re.compile(rb"\[+|\]+")
_OPENER: Final = ord("[")


def _longest_integer(body: bytes) -> int:
    return max(map(len, _INTEGER.findall(_without_strings(body))), default=0)


_INTEGER: Final = re.compile(rb"(?<![0-9.eE+-])-?[0-9]++(?![.eE])")


def _without_strings(body: bytes) -> bytes:
    """Valid JSON without its strings: once escaped quotes are gone, every second piece is outside of them."""
    if b"\\" in body:
        body = body.replace(rb"\\", b"").replace(rb"\"", b"")
    return b"".join(body.split(b'"')[::2])


# --- what users hand in


def _converted(value: Any) -> object:
    """What to encode in place of an object msgspec has no form for (its `enc_hook`)."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "model_dump") and not isinstance(value, type):
        return value.model_dump(mode="json")
    raise NotImplementedError


_ENCODER: Final = msgspec.json.Encoder(enc_hook=_converted)
_CANONICAL_ENCODER: Final = msgspec.json.Encoder(order="deterministic")


def _is_sound(value: Any) -> bool:
    """True when a value certainly holds nothing that msgspec changes silently: NaN, keys that are not str.

    It runs for every value, so it knows the common types only; the rest goes to `faults.in_value`.
    """
    kind = type(value)
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str or not (type(item) in _SAFE or _is_sound(item)):
                return False
        return True
    if kind is list or kind is tuple or kind is set:
        for item in value:  # noqa: SIM110  # all() with a generator takes twice as long
            if not (type(item) in _SAFE or _is_sound(item)):
                return False
        return True
    if kind is float:
        return isfinite(value)
    if kind in _SAFE:
        return True
    names = getattr(kind, "__dataclass_fields__", ()) or getattr(kind, "__struct_fields__", ())
    return bool(names) and all(_is_sound(getattr(value, name, None)) for name in names)


_SAFE: Final = frozenset({str, int, bool, NoneType, bytes, datetime, date, time, timedelta, Decimal, UUID})
"""Types whose values msgspec never changes silently. Floats are not among them: NaN would become null."""


# --- words for what was refused


def _too_large(size: int, what: str, limits: Limits) -> TooLarge:
    return TooLarge(
        f"{what} has {size:,} bytes, and {limits.max_bytes:,} are allowed; "
        "keep large data elsewhere and pass a reference to it"
    )


def _unacceptable(body: bytes, what: str, limits: Limits, at: str, reason: str) -> InvalidInput:
    """The refusal of a text: with the place of the fault, or at least with the reason known already."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        return _invalid(Fault(faults.whole(at), f"it is not UTF-8 (byte {error.start})"), what)
    fault = faults.in_text(text, max_depth=limits.max_depth, max_digits=limits.max_digits, at=at)
    return _invalid(fault or Fault(faults.whole(at), reason), what)


def _reason(error: Exception, limits: Limits) -> str:
    if isinstance(error, RecursionError):
        return faults.too_deep(limits.max_depth)
    if isinstance(error, msgspec.ValidationError):  # only numbers fail it when no type is asked for
        return f"a number is too large: {error}"
    return f"it is not JSON: {error}"


def _fault_in(value: object, limits: Limits) -> Fault | None:
    return faults.in_value(
        value, max_depth=limits.max_depth, max_digits=limits.max_digits, convert=_converted
    )


def _unencodable(value: object, what: str, limits: Limits, error: Exception) -> InvalidInput:
    fault = _fault_in(value, limits)
    return _invalid(fault or Fault("", faults.words(error)), what)


def _misshapen(error: msgspec.ValidationError, what: str) -> InvalidInput:
    """msgspec ends its message with the path: "Expected `str`, got `int` - at `$.name`"."""
    message, _, path = str(error).rpartition(" - at ")
    return _invalid(Fault(path.strip("`"), message) if message else Fault("", path), what)


def _invalid(fault: Fault, what: str) -> InvalidInput:
    place = f" (at {fault.path})" if fault.path else ""
    return InvalidInput(f"{what} cannot be accepted: {fault.reason}{place}", path=fault.path)


# --- text


def _storable(text: str) -> str:
    if "\0" in text:
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _size(count: int) -> str:
    if count < 1024:
        return f"{count} bytes"
    return f"{count / 1024:,.1f} KB" if count < 1024 * 1024 else f"{count / 1024 / 1024:,.1f} MB"
