"""When a failed task is tried again: how often, and after how long. The formula is that of the 2.x SDK."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, structs

from zopio_trigger.errors import InvalidInput
from zopio_trigger.model.names import nearest

MAX_ATTEMPTS: Final = 1_000_000
"""Attempts: in practice "for ever", and few enough to count in any integer column."""

MAX_TIMEOUT_MS: Final = 315_360_000_000
"""Milliseconds: ten years, the longest delay of anything here."""


class Retry(Struct, frozen=True, kw_only=True):
    """How a task is retried. `Retry()` are the defaults of the 2.x SDK; no Retry at all means tried once.

    Parameters:
        max_attempts: how often the task is tried in all, the first time included; 0 counts as 1. Default 5,
            at most 1,000,000.
        min_timeout_in_ms: milliseconds before the second attempt, and before the third. Default 1,000; 0
            counts as 1; at most ten years.
        max_timeout_in_ms: milliseconds that no delay exceeds, jitter included. Default 60,000, at most ten
            years.
        factor: what each further delay is multiplied by; finite, at least 0. Default 1.8.
        randomize: multiply each delay by a random number from [1, 2), so that tasks that failed together do
            not all come back together. Default True.

    Raises:
        InvalidInput: a value is of the wrong type or out of its range.

    Source: `calculateRetryAt` of `@trigger.dev/core` 2.3.19; `max_attempts` is called `limit` there.
    """

    max_attempts: int = 5
    min_timeout_in_ms: int = 1_000
    max_timeout_in_ms: int = 60_000
    factor: float = 1.8
    randomize: bool = True

    def __post_init__(self) -> None:
        _check_integer("max_attempts", self.max_attempts, MAX_ATTEMPTS)
        _check_integer("min_timeout_in_ms", self.min_timeout_in_ms, MAX_TIMEOUT_MS)
        _check_integer("max_timeout_in_ms", self.max_timeout_in_ms, MAX_TIMEOUT_MS)
        _check_factor(self.factor)
        if not isinstance(self.randomize, bool):
            raise InvalidInput(f"randomize is {_shown(self.randomize)}; it is to be True or False")

    @classmethod
    def standard(cls) -> Retry:
        """The 2.x preset `standardBackoff`: 8 attempts, 500 ms to 30 s, factor 1.8."""
        return cls(max_attempts=8, factor=1.8, min_timeout_in_ms=500, max_timeout_in_ms=30_000)

    @classmethod
    def exponential(cls) -> Retry:
        """The 2.x preset `exponentialBackoff`: 8 attempts, 1 s to 30 s, factor 2."""
        return cls(max_attempts=8, factor=2, min_timeout_in_ms=1_000, max_timeout_in_ms=30_000)

    @classmethod
    def of(cls, value: Retry | Mapping[str, Any] | None) -> Retry | None:
        """A Retry from what users may write for one.

        Parameters:
            value: a Retry; None (tried once); or a mapping with the names above, in snake_case or camelCase
                (`maxAttempts`, `minTimeoutInMs`), or `limit` for `max_attempts`. What it leaves out has the
                default.

        Raises:
            InvalidInput: an unknown name (the message names the nearest), one thing given under two names, or
                a value out of range.
        """
        if value is None or isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise InvalidInput(f"retry is {_shown(value)}; it is to be a Retry, a mapping or None")
        options: dict[str, Any] = {}
        for name, option in value.items():
            field = _field_of(name)
            if field in options:
                raise InvalidInput(f"retry says {field} twice, under two names; keep one of them")
            options[field] = _whole(option)
        return cls(**options)

    def delay_ms(self, attempt: int, chance: float) -> int | None:
        """Milliseconds to wait after a failed attempt; None when no further attempt follows.

        Parameters:
            attempt: the number of the attempt that failed, from 1.
            chance: from [0, 1), drawn by the caller; unused unless `randomize`.
        """
        if attempt >= self.max_attempts:
            return None
        jitter = 1 + chance if self.randomize else 1
        delay = jitter * max(self.min_timeout_in_ms, 1) * _power(self.factor, max(attempt - 2, 0))
        if delay >= self.max_timeout_in_ms:
            return self.max_timeout_in_ms
        return math.floor(delay + 0.5)  # as JavaScript rounds: halves go up

    def retry_at(self, attempt: int, chance: float, now_us: int) -> int | None:
        """The instant of the next attempt, in microseconds since 1970; None when there is none.

        Parameters:
            now_us: when the attempt failed, in microseconds since 1970. The others: see `delay_ms`.
        """
        delay = self.delay_ms(attempt, chance)
        return None if delay is None else now_us + delay * 1_000


def _power(factor: float, exponent: int) -> float:
    try:
        return float(factor) ** exponent
    except OverflowError:
        return math.inf


def _check_integer(name: str, value: object, highest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= highest:
        raise InvalidInput(f"{name} is {_shown(value)}; it is to be an integer from 0 to {highest:,}")


def _check_factor(value: object) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= _LARGEST_FACTOR:  # type: ignore[operator]  # it is a number
        raise InvalidInput(f"factor is {_shown(value)}; it is to be a finite number, at least 0")


_LARGEST_FACTOR: Final = 1.7976931348623157e308
"""The largest float. NaN, infinity and integers that are no float compare as out of range."""


def _field_of(name: object) -> str:
    field = _FIELDS.get(name) if isinstance(name, str) else None
    if field is None:
        guess = nearest(name, _FIELDS) if isinstance(name, str) else None
        hint = f"did you mean {guess}?" if guess else f"there are {', '.join(Retry.__struct_fields__)}"
        raise InvalidInput(f"retry has no option {_shown(name)}; {hint}")
    return field


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


_FIELDS: Final[dict[str, str]] = {
    spelling: field.name for field in structs.fields(Retry) for spelling in (field.name, _camel(field.name))
} | {"limit": "max_attempts"}


def _whole(option: object) -> object:
    """JSON has one kind of number: 3.0 from another language is 3."""
    return int(option) if isinstance(option, float) and option.is_integer() else option


def _shown(value: object) -> str:
    return repr(value)[:80] if isinstance(value, str | int | float | None) else type(value).__name__
