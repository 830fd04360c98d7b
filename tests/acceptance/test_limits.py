"""Who may execute: limits, keys, priorities, slots, and that nobody starves."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from tests.acceptance.jobs import client_of, until
from zopio_trigger import IO, Limit, TriggerClient
from zopio_trigger.testing import TestPlatform


@pytest.fixture(params=[False, True], ids=["resident", "reexecuted"])
def reexecute(request: pytest.FixtureRequest) -> bool:
    """Whatever holds while a run stays in memory holds when it is executed again."""
    return bool(request.param)


class Crowd:
    """Counts who is inside, and the most that ever were, by key. Nobody leaves before the door is opened."""

    def __init__(self) -> None:
        self.inside: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.door = asyncio.Event()

    async def visit(self, key: str) -> None:
        self.inside[key] += 1
        self.most[key] = max(self.most[key], self.inside[key])
        await self.door.wait()
        self.inside[key] -= 1


@pytest.mark.parametrize("limit", [1, 3])
async def test_a_limit_is_never_exceeded_also_by_runs_that_wake_up(limit: int, reexecute: bool) -> None:
    crowd = Crowd()

    async def job(payload: Any, io: IO) -> None:
        await io.run_task("before", crowd.visit, "all")
        await io.wait("nap", seconds=10)
        await io.run_task("after", crowd.visit, "all")

    async with TestPlatform(
        client_of(job, concurrency=limit), reexecute=reexecute, patience=0.03
    ) as platform:
        runs = [await platform.send("job") for _ in range(20)]
        await platform.settle()
        assert crowd.inside == {"all": limit}
        crowd.door.set()
        await platform.advance(seconds=30)

        assert {run.state for run in runs} == {"completed"}
        assert crowd.most["all"] == limit


async def test_a_limit_with_a_key_counts_each_value_for_itself(reexecute: bool) -> None:
    crowd = Crowd()

    async def job(payload: Any, io: IO) -> None:
        customer = str(payload["customer"]["id"])
        await io.run_task("before", crowd.visit, customer)
        await io.wait("nap", seconds=10)
        await io.run_task("after", crowd.visit, customer)

    limit = Limit("customers", 1, key="customer.id")
    async with TestPlatform(
        client_of(job, concurrency=limit), reexecute=reexecute, patience=0.03
    ) as platform:
        runs = [await platform.send("job", {"customer": {"id": n % 3}}) for n in range(12)]
        await platform.settle()
        assert crowd.inside == {"0": 1, "1": 1, "2": 1}
        crowd.door.set()
        await platform.advance(seconds=60)

        assert {run.state for run in runs} == {"completed"}
        assert crowd.most == {"0": 1, "1": 1, "2": 1}


async def test_jobs_that_name_one_queue_share_its_limit() -> None:
    crowd = Crowd()

    async def one(payload: Any, io: IO) -> None:
        await io.run_task("visit", crowd.visit, "both")

    async def other(payload: Any, io: IO) -> None:
        await io.run_task("visit", crowd.visit, "both")

    async with TestPlatform(client_of(one, other, concurrency=Limit("shared", 2)), patience=0.03) as platform:
        runs = [await platform.send(name) for name in ("one", "other") * 10]
        await platform.settle()
        assert crowd.inside == {"both": 2}
        crowd.door.set()
        await platform.settle()

        assert {run.state for run in runs} == {"completed"}
        assert crowd.most["both"] == 2


async def test_a_higher_priority_goes_first_and_equals_in_order() -> None:
    order: list[str] = []
    gate = asyncio.Event()

    async def blocker(payload: Any, io: IO) -> None:
        await gate.wait()

    async def low(payload: Any, io: IO) -> None:
        order.append(f"low {payload}")

    async def high(payload: Any, io: IO) -> None:
        order.append(f"high {payload}")

    client = TriggerClient("app")
    line = Limit("line", 1)
    for function, priority in ((blocker, 0), (low, 0), (high, 5)):
        trigger = client.triggers.event(name=function.__name__)
        client.define_job(run=function, trigger=trigger, concurrency=line, priority=priority)
    async with TestPlatform(client, patience=0.02) as platform:
        await platform.send("blocker")
        for number in range(3):
            await platform.send("low", number)
            await platform.send("high", number)
        gate.set()
        await platform.settle()

        assert order == ["high 0", "high 1", "high 2", "low 0", "low 1", "low 2"]


async def test_a_long_line_does_not_starve_a_short_one() -> None:
    order: list[str] = []

    async def long(payload: Any, io: IO) -> None:
        order.append("long")
        await asyncio.sleep(0)

    async def short(payload: Any, io: IO) -> None:
        order.append("short")
        await asyncio.sleep(0)

    client = client_of(long, short)
    async with TestPlatform(client, slots=1) as platform:
        await asyncio.gather(*(client.send_event("long") for _ in range(50)))
        await asyncio.gather(*(client.send_event("short") for _ in range(3)))
        await platform.settle()

        assert len(order) == 53
        assert "short" not in order[20:]


async def test_a_run_that_executes_alone_has_nobody_beside_it() -> None:
    """After three deaths of its process; a run that begins beside it would die with it."""
    platforms: list[TestPlatform] = []
    gate = asyncio.Event()
    executions: list[int] = []

    async def deadly(payload: Any, io: IO) -> str:
        executions.append(1)
        if len(executions) <= 3:
            platforms[0].crash()
            await asyncio.Event().wait()
        await gate.wait()
        return "survived"

    async def neighbour(payload: Any, io: IO) -> str:
        return "fine"

    async with TestPlatform(client_of(deadly, neighbour), patience=0.05) as platform:
        platforms.append(platform)
        run = await platform.send("deadly")
        await until(lambda: len(executions) == 4)
        other = await platform.send("neighbour")
        await platform.settle()
        assert (run.state, other.state) == ("executing", "ready")
        gate.set()

        assert (await run.finished()).output == "survived"
        assert (await other.finished()).output == "fine"


async def test_more_runs_than_slots_all_end(reexecute: bool) -> None:
    crowd = Crowd()

    async def job(payload: Any, io: IO) -> None:
        await io.run_task("before", crowd.visit, "all")
        await io.wait("nap", seconds=payload)
        await io.run_task("after", crowd.visit, "all")

    async with TestPlatform(client_of(job), slots=4, reexecute=reexecute, patience=0.03) as platform:
        runs = [await platform.send("job", 1 + n % 5) for n in range(60)]
        await platform.settle()
        assert crowd.inside == {"all": 4}
        crowd.door.set()
        await platform.advance(seconds=30)

        assert {run.state for run in runs} == {"completed"}
        assert crowd.most["all"] == 4
