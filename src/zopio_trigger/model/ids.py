"""Ids: a prefix that says what it is, and a ULID that sorts by time of creation (`run_01KDVDNA00…`).

Ids are unguessable enough to collide never, not to be secrets: neighbours of one millisecond differ by one.
`secret` makes what must not be guessed.
"""

from __future__ import annotations

import random
import re
from typing import Final

from zopio_trigger.errors import InvalidInput
from zopio_trigger.model.clock import Clock

# Crockford's base 32: no I, L, O, U, so that an id survives being read aloud.
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = tuple(high + low for high in _ALPHABET for low in _ALPHABET)  # ten bits at a time
_AS_BASE_32: Final = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")  # the digits int() knows
_ID: Final = re.compile(rf"(?P<prefix>.+)_(?P<time>[0-7][{_ALPHABET}]{{9}})[{_ALPHABET}]{{16}}", re.ASCII)

# The 80 random bits of a ULID: a tail that counts within one millisecond, and a head that rarely changes.
_TAIL_BITS: Final = 20
_HEAD_BITS: Final = 60
_TAIL_END: Final = 1 << _TAIL_BITS
_HEAD_END: Final = 1 << _HEAD_BITS

_SECRET_ALPHABET: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SECRET_RANDOM: Final = random.SystemRandom()


class Ids:
    """Makes ids for one process, each greater than the one before even when the clock goes back.

    Greater within one prefix, that is. Not locked: for the thread of one event loop. Make it after a fork, or
    parent and child draw the same random bits.

    Parameters:
        clock: where the time in the ids comes from.
        random: where their 80 random bits come from; seeded in tests.

    Source: the ULID specification (monotonic), https://github.com/ulid/spec
    """

    __slots__ = ("_clock", "_head", "_milliseconds", "_random", "_tail", "_text")

    def __init__(self, clock: Clock, random: random.Random) -> None:
        self._clock = clock
        self._random = random
        self._milliseconds = -1
        self._head = 0
        self._tail = 0
        self._text = ""

    def new(self, prefix: str) -> str:
        """Return `<prefix>_` and 26 characters of Crockford's base 32, upper case."""
        milliseconds = self._clock.now() // 1000
        tail = self._tail + 1
        if milliseconds > self._milliseconds:
            tail = self._begin(milliseconds)
        elif tail == _TAIL_END:
            tail = self._carry()
        self._tail = tail
        return f"{prefix}_{self._text}{_PAIRS[tail >> 10]}{_PAIRS[tail & 1023]}"

    def _begin(self, milliseconds: int) -> int:
        """Start a millisecond with fresh random bits; returns the first tail."""
        self._milliseconds = milliseconds
        bits = self._random.getrandbits(_HEAD_BITS + _TAIL_BITS)
        self._head = bits >> _TAIL_BITS
        self._write_text()
        return bits & (_TAIL_END - 1)

    def _carry(self) -> int:
        """Count on in the head; out of bits, which needs luck of 1 in 2^60, borrow the next millisecond."""
        if self._head + 1 == _HEAD_END:
            return self._begin(self._milliseconds + 1)
        self._head += 1
        self._write_text()
        return 0

    def _write_text(self) -> None:
        """All but the tail: 50 bits of time, 60 of the head, ten a pair; spelled out, for speed."""
        time, head, pairs = self._milliseconds, self._head, _PAIRS
        self._text = (
            f"{pairs[time >> 40]}{pairs[time >> 30 & 1023]}{pairs[time >> 20 & 1023]}"
            f"{pairs[time >> 10 & 1023]}{pairs[time & 1023]}"
            f"{pairs[head >> 50]}{pairs[head >> 40 & 1023]}{pairs[head >> 30 & 1023]}"
            f"{pairs[head >> 20 & 1023]}{pairs[head >> 10 & 1023]}{pairs[head & 1023]}"
        )


def prefix_of(id: str) -> str:
    """Return what stands before the ULID: `run` of `run_01KDVDNA00…`.

    Raises:
        InvalidInput: not an id of ours.
    """
    return _parts(id)["prefix"]


def created_at(id: str) -> int:
    """Return when the id was made, in microseconds since the epoch, to the millisecond.

    Raises:
        InvalidInput: not an id of ours.
    """
    return int(_parts(id)["time"].translate(_AS_BASE_32), 32) * 1000


def lowest(prefix: str, at: int) -> str:
    """Return what sorts before every id made at or after an instant, and after all that were made before it.

    Parameters:
        prefix: what the ids begin with: `run`, `evt`.
        at: microseconds since the epoch, counted to the millisecond; one before 1970 means 1970.
    """
    milliseconds = max(at, 0) // 1000
    time = "".join(_PAIRS[milliseconds >> bits & 1023] for bits in (40, 30, 20, 10, 0))
    return f"{prefix}_{time}"


def secret(length: int = 20) -> str:
    """Return characters from 0-9, a-z, A-Z that nobody can guess, from the operating system's randomness.

    Parameters:
        length: number of characters, default 20 (119 bits), at least 1.
    """
    if length < 1:
        raise InvalidInput(f"secret: {length} characters keep nothing secret; ask for 20")
    return "".join(_SECRET_RANDOM.choice(_SECRET_ALPHABET) for _ in range(length))


def _parts(id: str) -> dict[str, str]:
    match = _ID.fullmatch(id)
    if match is None:
        raise InvalidInput(f"{id[:60]!r} is not an id of ours; they look like run_01KDVDNA00SBJ0XQ4X7FSEYGR8")
    return match.groupdict()
