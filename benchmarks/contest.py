"""What the real system and the reference loop have in common, so that one job and one way to send measure both."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from benchmarks.tally import Tally

T = TypeVar("T")
EVENT_NAME = "benchmarks.sent"
Payload = dict[str, int]


class TaskIO(Protocol):
    """The part of `io` that both have."""

    def run_task(
        self, key: str, function: Callable[..., Coroutine[Any, Any, T]], /, *args: Any
    ) -> Coroutine[Any, Any, T]:
        """Run the function once, durably."""


Job = Callable[[Payload, TaskIO], Coroutine[Any, Any, object]]


class Contestant(Protocol):
    """Something that executes one job for every event sent."""

    tally: Tally

    def send(self, payload: Payload) -> Awaitable[object]:
        """Send an event; the answer arrives when it is on disk."""


async def work(number: int) -> dict[str, object]:
    """The body of every task."""
    return {"number": number, "ok": True}


def sequential(tasks: int) -> Job:
    """A job of so many tasks, one after the other."""

    async def job(payload: Payload, io: TaskIO) -> dict[str, int]:
        for number in range(tasks):
            await io.run_task(f"task-{number}", work, number)
        return {"tasks": tasks}

    return job


async def seconds_for(contestant: Contestant, events: int, at_once: int) -> float:
    """Send events, so many at a time, and return when the last run has ended; how long that took."""
    target = contestant.tally["completed"] + events
    gc.collect()
    began = time.perf_counter()
    await send_all(contestant, events, at_once)
    await contestant.tally.reached("completed", target)
    return time.perf_counter() - began


async def send_all(contestant: Contestant, events: int, at_once: int) -> None:
    """Send events, so many at a time, each from a task of its own as the requests of a web application do."""
    gate = asyncio.Semaphore(at_once)

    async def send(number: int) -> None:
        async with gate:
            await contestant.send({"number": number})

    await asyncio.gather(*(send(number) for number in range(events)))
