"""What the tests of whole jobs share: clients made of functions, and bodies that count."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from zopio_trigger import TriggerClient
from zopio_trigger.testing import TestRun

Job = Callable[..., Any]


def client_of(*functions: Job, **options: Any) -> TriggerClient:
    """A client with one job for each function, started by an event of the function's name."""
    client = TriggerClient("app")
    for function in functions:
        trigger = client.triggers.event(name=function.__name__)
        client.define_job(run=function, id=function.__name__, trigger=trigger, **options)
    return client


class Bodies:
    """Makes bodies of tasks, and knows which of them began, in order."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def __call__(self, name: str, result: Any = None) -> Callable[[], Coroutine[Any, Any, Any]]:
        async def body() -> Any:
            self.begun.append(name)
            return name if result is None else result

        return body


async def until(condition: Callable[[], bool]) -> None:
    """Return when something real has happened (a thread, `asyncio.timeout`); pytest ends what never does."""
    async with asyncio.timeout(5):
        while not condition():  # what is waited for knows no events of asyncio
            await asyncio.sleep(0.001)


async def ended(run: TestRun) -> TestRun:
    """The run, when it has ended by something real while it was asleep."""
    await until(lambda: run.has_ended)
    return await run.finished()
