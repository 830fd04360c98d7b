"""The watchdog names the function that blocks the event loop."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator

import pytest

from zopio_trigger.model.clock import SystemClock
from zopio_trigger.worker.watchdog import Watchdog


@pytest.fixture
async def watchdog() -> AsyncIterator[Watchdog]:
    """One that bites after a tenth of a second."""
    watchdog = Watchdog(SystemClock(), blocked_after=0.1, ask_every=0.02)
    watchdog.start()
    yield watchdog
    watchdog.stop()


def charge_card(seconds: float) -> None:
    time.sleep(seconds)


async def until_quiet() -> None:
    """Give the watchdog's thread its turn."""
    await asyncio.to_thread(threading.Event().wait, 0.1)


async def test_the_function_that_blocks_is_named_once_per_episode(
    watchdog: Watchdog, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            charge_card(0.5)
            await until_quiet()

    assert len(caplog.messages) == 2
    assert "test_watchdog.py:" in caplog.messages[0]
    assert "in charge_card (time.sleep(seconds))" in caplog.messages[0]
    assert "has been blocked for 0.1 s" in caplog.messages[0]


async def test_a_loop_that_is_merely_busy_or_idle_is_left_alone(
    watchdog: Watchdog, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(20):
            charge_card(0.01)
            await asyncio.sleep(0)
        await asyncio.sleep(0.2)

    assert caplog.messages == []


async def test_of_library_code_the_users_call_into_it_is_named(
    watchdog: Watchdog, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        threading.Event().wait(0.4)  # blocks inside threading.py
        await until_quiet()

    assert "in test_of_library_code_the_users_call_into_it_is_named" in caplog.messages[0]


async def test_its_thread_ends_when_it_is_stopped() -> None:
    watchdog = Watchdog(SystemClock(), ask_every=0.02)
    watchdog.start()
    watchdog.stop()

    for _ in range(100):
        if not any(thread.name == "zopio-watchdog" for thread in threading.enumerate()):
            return
        await asyncio.to_thread(threading.Event().wait, 0.01)
    raise AssertionError("the thread is still there")
