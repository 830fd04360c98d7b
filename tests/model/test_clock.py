"""The real clock on the event loop, and the one that tests move."""

from __future__ import annotations

import asyncio
import doctest
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zopio_trigger.errors import InvalidInput
from zopio_trigger.model import clock
from zopio_trigger.model.clock import Clock, ManualClock, SystemClock
from zopio_trigger.model.durations import HOUR_US, LATEST_US, SECOND_US

START = 1_800_000_000 * SECOND_US


class JumpingClock(SystemClock):
    """The system's clock with its wall time in our hand, as when an operator sets it."""

    def __init__(self, now_us: int, *, look_every_seconds: float = 0.001) -> None:
        super().__init__(look_every_seconds=look_every_seconds)
        self.now_us = now_us
        self.looks_left = 0
        self.looked_enough = asyncio.Event()

    def now(self) -> int:
        self.looks_left -= 1
        if self.looks_left == 0:
            self.looked_enough.set()
        return self.now_us

    async def looked_at(self, times: int) -> None:
        self.looks_left = times
        await happened(self.looked_enough)


async def happened(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), timeout=5)


def test_both_tell_the_time_as_a_clock_does() -> None:
    clocks: list[Clock] = [SystemClock(), ManualClock(START)]

    assert all(START // 2 < clock.now() < LATEST_US for clock in clocks)


class TestSystemClock:
    def test_tells_the_time_in_microseconds(self) -> None:
        before = time.time_ns() // 1000

        now = SystemClock().now()

        assert before <= now <= time.time_ns() // 1000

    def test_monotonic_never_goes_back(self) -> None:
        clock = SystemClock()

        readings = [clock.monotonic() for _ in range(1000)]

        assert readings == sorted(readings)

    async def test_calls_back_no_earlier_than_asked(self) -> None:
        clock = SystemClock()
        rang = asyncio.Event()
        at = clock.now() + 2_000

        clock.call_at(at, rang.set)
        await happened(rang)

        assert clock.now() >= at

    async def test_never_calls_back_at_once(self) -> None:
        clock = SystemClock()
        rang = asyncio.Event()

        clock.call_at(0, rang.set)

        assert not rang.is_set()
        await happened(rang)

    async def test_calls_back_after_a_length_no_earlier_than_asked(self) -> None:
        clock = SystemClock()
        rang = asyncio.Event()
        before = time.monotonic()

        clock.call_later(0.002, rang.set)
        await happened(rang)

        assert time.monotonic() - before >= 0.002

    async def test_a_cancelled_callback_never_runs(self) -> None:
        clock = SystemClock()
        rang: list[str] = []
        last = asyncio.Event()

        clock.call_at(0, lambda: rang.append("cancelled")).cancel()
        clock.call_at(clock.now() + 1_000, last.set)
        await happened(last)

        assert rang == []

    async def test_a_callback_cancelled_while_it_waits_never_runs(self) -> None:
        clock = JumpingClock(START)
        rang = asyncio.Event()
        later = asyncio.Event()
        alarm = clock.call_at(START + HOUR_US, rang.set)
        clock.call_at(START + HOUR_US, later.set)
        await clock.looked_at(times=4)

        alarm.cancel()
        clock.now_us += HOUR_US
        await happened(later)

        assert not rang.is_set()

    async def test_notices_a_clock_that_is_set_forward(self) -> None:
        clock = JumpingClock(START)
        rang = asyncio.Event()
        clock.call_at(START + HOUR_US, rang.set)

        clock.now_us += HOUR_US

        await happened(rang)

    async def test_keeps_waiting_when_the_clock_is_set_back(self) -> None:
        clock = JumpingClock(START)
        rang = asyncio.Event()
        clock.call_at(START + 1_000, rang.set)

        clock.now_us -= HOUR_US
        await clock.looked_at(times=5)

        assert not rang.is_set()
        clock.now_us += 2 * HOUR_US
        await happened(rang)

    async def test_never_sleeps_longer_than_thirty_seconds_by_default(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        delays: list[float] = []
        loop = asyncio.get_running_loop()
        call_later = loop.call_later

        def noted(delay: float, look: Callable[[], None]) -> asyncio.TimerHandle:
            delays.append(delay)
            return call_later(delay, look)

        monkeypatch.setattr(loop, "call_later", noted)

        SystemClock().call_at(LATEST_US, lambda: None).cancel()

        assert delays == [30.0]

    async def test_sleep_returns(self) -> None:
        await SystemClock().sleep(0.001)
        await SystemClock().sleep(0)
        await SystemClock().sleep(-1)


class TestManualClock:
    def test_stands_still_until_moved(self) -> None:
        clock = ManualClock(START)

        assert (clock.now(), clock.now()) == (START, START)
        clock.advance(1.5)
        assert clock.now() == START + 1_500_000
        clock.advance(timedelta(hours=1))
        assert clock.now() == START + 1_500_000 + HOUR_US
        assert clock.monotonic() == 3601.5

    def test_runs_what_falls_due_in_order_with_the_clock_at_each_time(self) -> None:
        clock = ManualClock(START)
        seen: list[tuple[str, int]] = []

        def note(name: str) -> None:
            seen.append((name, clock.now()))

        for name, seconds in (("third", 30), ("first", 10), ("second", 20), ("never", 61)):
            clock.call_at(START + seconds * SECOND_US, partial(note, name))

        clock.advance(60)

        assert seen == [
            ("first", START + 10 * SECOND_US),
            ("second", START + 20 * SECOND_US),
            ("third", START + 30 * SECOND_US),
        ]
        assert clock.now() == START + 60 * SECOND_US

    def test_runs_callbacks_of_one_instant_in_the_order_they_were_asked_for(self) -> None:
        clock = ManualClock(START)
        seen: list[int] = []
        for number in range(5):
            clock.call_at(START + 1, partial(seen.append, number))

        clock.advance(1)

        assert seen == [0, 1, 2, 3, 4]

    def test_a_callback_may_ask_for_another_one_on_the_way(self) -> None:
        clock = ManualClock(0)
        ticks: list[int] = []

        def tick() -> None:
            ticks.append(clock.now())
            clock.call_at(clock.now() + 10 * SECOND_US, tick)

        clock.call_at(10 * SECOND_US, tick)
        clock.advance(35)

        assert ticks == [10 * SECOND_US, 20 * SECOND_US, 30 * SECOND_US]
        assert clock.next_due() == 40 * SECOND_US

    def test_a_cancelled_callback_never_runs_and_is_not_next(self) -> None:
        clock = ManualClock(START)
        seen: list[str] = []
        first = clock.call_at(START + 1, lambda: seen.append("first"))
        clock.call_at(START + 2, lambda: seen.append("second"))

        first.cancel()

        assert clock.next_due() == START + 2
        clock.advance(1)
        first.cancel()
        assert seen == ["second"]
        assert clock.next_due() is None

    def test_what_a_callback_raises_comes_out_and_the_rest_still_runs_later(self) -> None:
        clock = ManualClock(START)
        seen: list[int] = []

        def fail() -> None:
            raise ValueError("broken")

        clock.call_at(START + SECOND_US, fail)
        clock.call_at(START + 2 * SECOND_US, lambda: seen.append(clock.now()))

        with pytest.raises(ValueError, match="broken"):
            clock.advance(10)
        assert clock.now() == START + SECOND_US
        clock.advance(10)
        assert seen == [START + 2 * SECOND_US]

    def test_setting_it_back_runs_nothing_and_keeps_the_monotonic_time(self) -> None:
        clock = ManualClock(START)
        seen: list[int] = []
        clock.advance(60)
        clock.call_at(START + 90 * SECOND_US, lambda: seen.append(clock.now()))

        clock.set(START)

        assert (clock.now(), clock.monotonic(), seen) == (START, 60.0, [])
        clock.set(START + 100 * SECOND_US)
        assert (clock.monotonic(), seen) == (160.0, [START + 90 * SECOND_US])

    def test_an_overdue_callback_runs_at_the_next_move_when_there_is_no_loop(self) -> None:
        clock = ManualClock(START)
        seen: list[int] = []
        clock.call_at(START - HOUR_US, lambda: seen.append(clock.now()))
        assert seen == []

        clock.advance(0)

        assert seen == [START]

    async def test_an_overdue_callback_runs_at_the_next_turn_of_the_loop_and_once(self) -> None:
        clock = ManualClock(START)
        seen: list[int] = []
        clock.call_at(START, lambda: seen.append(clock.now()))
        assert seen == []

        await asyncio.sleep(0)
        clock.advance(1)

        assert seen == [START]

    async def test_an_overdue_callback_waits_again_when_the_clock_went_back_meanwhile(self) -> None:
        clock = ManualClock(START)
        seen: list[int] = []
        clock.call_at(START, lambda: seen.append(clock.now()))
        clock.set(START - SECOND_US)

        await asyncio.sleep(0)
        assert seen == []

        clock.advance(2)
        assert seen == [START]

    async def test_sleep_waits_for_the_clock_to_be_moved(self) -> None:
        clock = ManualClock(START)
        sleeper = asyncio.create_task(clock.sleep(30))
        await asyncio.sleep(0)
        assert clock.next_due() == START + 30 * SECOND_US

        clock.advance(29.999)
        await asyncio.sleep(0)
        assert not sleeper.done()

        clock.advance(0.001)
        await asyncio.wait_for(sleeper, timeout=5)
        assert clock.next_due() is None

    async def test_sleep_is_a_length_that_a_clock_set_back_does_not_change(self) -> None:
        clock = ManualClock(START)
        sleeper = asyncio.create_task(clock.sleep(30))
        await asyncio.sleep(0)
        clock.advance(10)

        clock.set(START - 5 * HOUR_US)
        clock.advance(20)

        await asyncio.wait_for(sleeper, timeout=5)

    def test_a_callback_after_a_length_is_not_delayed_by_a_clock_set_back(self) -> None:
        clock = ManualClock(START)
        rang: list[float] = []
        clock.call_later(30, lambda: rang.append(clock.monotonic()))
        clock.advance(10)

        clock.set(START - 5 * HOUR_US)
        clock.advance(25)

        assert rang == [30.0]

    async def test_a_clock_set_back_lets_a_sleep_end_before_an_earlier_alarm(self) -> None:
        clock = ManualClock(START)
        clock.call_at(START + 20 * SECOND_US, lambda: None)
        sleeper = asyncio.create_task(clock.sleep(30))
        await asyncio.sleep(0)

        clock.set(START - 60 * SECOND_US)

        assert clock.next_due() == START - 30 * SECOND_US
        clock.advance(30)
        await asyncio.wait_for(sleeper, timeout=5)
        assert clock.next_due() == START + 20 * SECOND_US

    async def test_a_cancelled_sleep_leaves_nothing_behind(self) -> None:
        clock = ManualClock(START)
        sleeper = asyncio.create_task(clock.sleep(30))
        await asyncio.sleep(0)

        sleeper.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeper

        assert clock.next_due() is None
        clock.advance(60)

    async def test_a_sleep_cancelled_after_it_fell_due_does_not_break_the_clock(self) -> None:
        clock = ManualClock(START)
        sleeper = asyncio.create_task(clock.sleep(30))
        await asyncio.sleep(0)

        sleeper.cancel()
        clock.advance(60)

        with pytest.raises(asyncio.CancelledError):
            await sleeper

    async def test_sleeping_no_time_returns_at_once(self) -> None:
        await asyncio.wait_for(ManualClock(START).sleep(0), timeout=5)
        await asyncio.wait_for(ManualClock(START).sleep(-1), timeout=5)

    def test_refuses_to_go_back_by_advancing_or_to_leave_the_calendar(self) -> None:
        clock = ManualClock(START)
        with pytest.raises(InvalidInput, match="set"):
            clock.advance(-1)
        with pytest.raises(InvalidInput, match="1970 to 9999"):
            clock.set(LATEST_US + 1)
        with pytest.raises(InvalidInput, match="1970 to 9999"):
            ManualClock(-1)

    @given(
        delays=st.lists(st.integers(0, 100), max_size=20),
        moves=st.lists(st.integers(0, 40), max_size=20),
    )
    @settings(deadline=None)
    def test_however_it_is_moved_everything_due_ran_once_in_order(
        self, delays: list[int], moves: list[int]
    ) -> None:
        clock = ManualClock(START)
        seen: list[int] = []
        for delay in delays:
            clock.call_at(START + delay * SECOND_US, lambda: seen.append(clock.now()))

        for move in moves:
            clock.advance(move)

        if moves:
            reached = START + sum(moves) * SECOND_US
            due = sorted(START + delay * SECOND_US for delay in delays)
            assert seen == [at for at in due if at <= reached]


def test_the_examples_in_the_docs_run() -> None:
    assert doctest.testmod(clock) == (0, 3)
