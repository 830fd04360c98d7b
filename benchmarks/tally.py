"""Counting runs as they reach a state, and waiting until so many have."""

from __future__ import annotations

import asyncio
from collections import Counter


class Tally:
    """How many runs have reached each state."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._awaited: tuple[str, int, asyncio.Future[None]] | None = None
        self._error: Exception | None = None

    def __getitem__(self, state: str) -> int:
        return self._counts[state]

    def count(self, state: str) -> None:
        """One more run has reached this state."""
        self._counts[state] += 1
        if self._awaited is not None:
            awaited, total, reached = self._awaited
            if awaited == state and self._counts[state] >= total and not reached.done():
                reached.set_result(None)

    def fail(self, error: Exception) -> None:
        """Something went wrong: whoever waits, now or later, gets this error."""
        self._error = self._error or error
        if self._awaited is not None and not self._awaited[2].done():
            self._awaited[2].set_exception(error)

    async def reached(self, state: str, total: int) -> None:
        """Return when `total` runs have reached the state. One caller at a time."""
        if self._error is not None:
            raise self._error
        if self._counts[state] >= total:
            return
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited = (state, total, reached)
        try:
            await reached
        finally:
            self._awaited = None
