"""The clock: the one place where time comes into the system, so that tests can move it.

Everybody else is handed a `Clock`. `SystemClock` is the real time; `ManualClock` stands still until moved.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final, Protocol

from zopio_trigger.errors import InvalidInput
from zopio_trigger.model.durations import SECOND_US, check_instant

# The event loop measures sleeps by a monotonic clock, which knows nothing of somebody (an operator, NTP, a
# resumed laptop) moving the wall clock. Looking again every so often bounds how late a jump is noticed.
LOOK_EVERY_SECONDS: Final = 30.0


class Cancellable(Protocol):
    """A callback that has not run yet."""

    def cancel(self) -> None:
        """Forget the callback; nothing happens when it already ran or was cancelled."""
        ...


class Clock(Protocol):
    """What time it is, and a way to be called at a time."""

    def now(self) -> int:
        """The instant, in integer microseconds since the epoch, UTC. May jump either way."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back. For measuring lengths."""
        ...

    def call_at(self, at_us: int, callback: Callable[[], None]) -> Cancellable:
        """Run `callback` on the running event loop once `now()` has reached `at_us`, never inside this call.

        For use on the event loop's own thread.
        """
        ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Cancellable:
        """Run `callback` on the running event loop after `seconds` of monotonic time, never inside this call.

        For lengths, as `call_at` is for instants: setting the wall clock changes nothing about it.
        """
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of monotonic time; at the next turn of the loop for 0 or less."""
        ...


class SystemClock:
    """The real time, on the running asyncio loop.

    Parameters:
        look_every_seconds: seconds, default 30; how long a callback sleeps at most before it looks at the
            wall clock again, hence how late it may be after the clock was set forward.
    """

    def __init__(self, *, look_every_seconds: float = LOOK_EVERY_SECONDS) -> None:
        self._look_every_seconds = look_every_seconds

    def now(self) -> int:
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        return time.monotonic()

    def call_at(self, at_us: int, callback: Callable[[], None]) -> Cancellable:
        alarm = _SystemAlarm(self, at_us, callback, self._look_every_seconds)
        alarm.wait()
        return alarm

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Cancellable:
        return asyncio.get_running_loop().call_later(seconds, callback)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _SystemAlarm:
    __slots__ = ("_at_us", "_callback", "_clock", "_handle", "_look_every_seconds", "_loop")

    def __init__(
        self, clock: Clock, at_us: int, callback: Callable[[], None], look_every_seconds: float
    ) -> None:
        self._clock = clock
        self._at_us = at_us
        self._callback = callback
        self._look_every_seconds = look_every_seconds
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.Handle | None = None

    def wait(self) -> None:
        seconds = max(0.0, (self._at_us - self._clock.now()) / SECOND_US)
        self._handle = self._loop.call_later(min(seconds, self._look_every_seconds), self._look)

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def _look(self) -> None:
        if self._clock.now() >= self._at_us:
            self._callback()
        else:
            self.wait()


class ManualClock:
    """A clock for tests that moves only when told to.

    Callbacks run inside `advance` and `set`, in order of their due time, with `now()` equal to it. One that
    was already due when it was asked for runs at the next turn of the running loop; without a loop, at the
    next move. What a callback raises comes out of `advance` or `set`, and the clock stands at its due time.

    Parameters:
        start_us: instant it starts at; default 2026-01-01T00:00:00Z. At or after 1970.

    Example:
        >>> clock = ManualClock(0)
        >>> alarm = clock.call_at(5_000_000, lambda: print("due at", clock.now()))
        >>> clock.advance(30)
        due at 5000000
    """

    def __init__(self, start_us: int = 1_767_225_600 * SECOND_US) -> None:
        self._now_us = check_instant(start_us, "ManualClock")
        self._elapsed_us = 0
        self._alarms: list[_ManualAlarm] = []
        self._order = 0

    def now(self) -> int:
        return self._now_us

    def monotonic(self) -> float:
        """Seconds moved forward since the start; a `set` into the past leaves it where it is."""
        return self._elapsed_us / SECOND_US

    def call_at(self, at_us: int, callback: Callable[[], None]) -> Cancellable:
        return self._add(at_us, callback, is_sleep=False)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Cancellable:
        return self._add(self._now_us + round(max(0.0, seconds) * SECOND_US), callback, is_sleep=True)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        alarm = self._add(self._now_us + round(seconds * SECOND_US), lambda: _wake(woken), is_sleep=True)
        try:
            await woken
        finally:
            alarm.cancel()

    def advance(self, by: float | timedelta) -> None:
        """Move forward by seconds or a timedelta, running what falls due on the way.

        Raises:
            InvalidInput: `by` is negative (use `set` to jump back), or leads past the year 9999.
        """
        seconds = by.total_seconds() if isinstance(by, timedelta) else by
        if seconds < 0:
            raise InvalidInput(f"ManualClock.advance: {seconds} s is negative; use set() to go back in time")
        self._move_to(check_instant(self._now_us + round(seconds * SECOND_US), "ManualClock.advance"))

    def set(self, us: int) -> None:
        """Move to an instant: forward like `advance`, or back, as when somebody sets the wall clock.

        Going back runs nothing; `monotonic()` stays, and sleeps, which are lengths, end when they would have.
        """
        back_us = self._now_us - check_instant(us, "ManualClock.set")
        if back_us <= 0:
            self._move_to(us)
            return
        self._now_us = us
        for alarm in self._alarms:
            if alarm.is_sleep:
                alarm.at_us -= back_us
        heapq.heapify(self._alarms)

    def next_due(self) -> int | None:
        """The instant at which the next callback or sleep is due (it may have passed); None without any."""
        self._drop_cancelled()
        return self._alarms[0].at_us if self._alarms else None

    def _add(self, at_us: int, callback: Callable[[], None], *, is_sleep: bool) -> _ManualAlarm:
        self._order += 1
        alarm = _ManualAlarm(at_us, self._order, callback, is_sleep=is_sleep)
        heapq.heappush(self._alarms, alarm)
        if at_us <= self._now_us:
            _call_soon(lambda: self._run_late(alarm))
        return alarm

    def _run_late(self, alarm: _ManualAlarm) -> None:
        """Run one that was due when it was added, unless a move ran it first or the clock went back since."""
        if not alarm.is_over and alarm.at_us <= self._now_us:
            alarm.run()

    def _move_to(self, target_us: int) -> None:
        while (due_us := self.next_due()) is not None and due_us <= target_us:
            self._pass_until(max(due_us, self._now_us))
            heapq.heappop(self._alarms).run()
        self._pass_until(max(target_us, self._now_us))

    def _pass_until(self, us: int) -> None:
        self._elapsed_us += us - self._now_us
        self._now_us = us

    def _drop_cancelled(self) -> None:
        while self._alarms and self._alarms[0].is_over:
            heapq.heappop(self._alarms)


class _ManualAlarm:
    __slots__ = ("_callback", "at_us", "is_over", "is_sleep", "order")

    def __init__(self, at_us: int, order: int, callback: Callable[[], None], *, is_sleep: bool) -> None:
        self.at_us = at_us
        self.order = order
        self.is_sleep = is_sleep
        self.is_over = False
        self._callback = callback

    def __lt__(self, other: _ManualAlarm) -> bool:
        return (self.at_us, self.order) < (other.at_us, other.order)

    def run(self) -> None:
        self.is_over = True
        self._callback()

    def cancel(self) -> None:
        self.is_over = True


def _call_soon(callback: Callable[[], None]) -> None:
    """Run at the next turn of the loop; without a loop (a synchronous test) leave it to the next move."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    loop.call_soon(callback)


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
