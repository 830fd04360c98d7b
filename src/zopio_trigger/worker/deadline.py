"""A time limit on a body, by the platform's clock. (`asyncio.timeout` goes by the loop's, which tests cannot move.)"""

from __future__ import annotations

import asyncio

from zopio_trigger.model.clock import Cancellable, Clock


class DeadlineExceeded(Exception):  # its name is what people read as the error's type
    """The attempt took longer than its timeout."""


class Deadline:
    """Cancels the body inside `async with` after some seconds and raises `DeadlineExceeded` in its place."""

    __slots__ = ("_alarm", "_clock", "_has_rung", "_seconds", "_task")

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._task: asyncio.Task[object] | None = None
        self._alarm: Cancellable | None = None
        self._has_rung = False

    async def __aenter__(self) -> None:
        self._task = asyncio.current_task()
        self._alarm = self._clock.call_later(self._seconds, self._ring)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        if (
            self._has_rung
            and self._task is not None
            and self._task.uncancel() == 0
            and kind is asyncio.CancelledError
        ):
            raise DeadlineExceeded(f"took longer than its timeout of {self._seconds:g} s") from error

    def _ring(self) -> None:
        self._has_rung = True
        if self._task is not None:
            self._task.cancel()
