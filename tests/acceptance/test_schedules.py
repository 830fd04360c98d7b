"""Schedules as their jobs see them: on time, after a time without a platform, beside a run that has not ended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from zopio_trigger import IO, TriggerClient
from zopio_trigger.testing import TestPlatform

HOUR_US = 3_600_000_000


def hourly(run: Any, **options: Any) -> TriggerClient:
    client = TriggerClient("app")
    client.define_job(run=run, id="hourly", trigger=client.triggers.schedule("0 * * * *", **options))
    return client


async def hour_of(payload: Any, io: IO) -> str:
    hour: str = payload["ts"][11:13]
    return hour


async def test_a_schedule_fires_at_each_of_its_times_and_tells_the_last_one() -> None:
    async def times(payload: Any, io: IO) -> Any:
        return payload

    async with TestPlatform(hourly(times)) as platform:
        await platform.advance(hours=3)

        assert [run.output for run in await platform.runs()] == [
            {"ts": "2026-01-01T01:00:00.000Z"},
            {"ts": "2026-01-01T02:00:00.000Z", "lastTimestamp": "2026-01-01T01:00:00.000Z"},
            {"ts": "2026-01-01T03:00:00.000Z", "lastTimestamp": "2026-01-01T02:00:00.000Z"},
        ]


@pytest.mark.parametrize(
    ("catch_up", "hours"),
    [
        ("one", ["05", "06"]),
        ("all", ["01", "02", "03", "04", "05", "06"]),
        ("none", ["06"]),
    ],
)
async def test_times_that_passed_without_a_platform_are_made_up_for_as_asked(
    catch_up: str, hours: list[str]
) -> None:
    async with TestPlatform(hourly(hour_of, catch_up=catch_up)) as platform:
        platform.crash()
        platform.clock.set(platform.clock.now() + 5 * HOUR_US + HOUR_US // 2)
        await platform.settle()
        await platform.advance(minutes=30)

        assert [run.output for run in await platform.runs()] == hours


async def test_a_schedule_may_skip_its_times_while_a_run_has_not_ended() -> None:
    async def long(payload: Any, io: IO) -> None:
        await io.wait("long", minutes=150)

    async with TestPlatform(hourly(long, overlap="skip")) as platform:
        await platform.advance(hours=8)

        begun = [run.row.created_at // HOUR_US % 24 for run in await platform.runs()]
        assert begun == [1, 4, 7]


async def test_a_schedule_may_queue_its_runs() -> None:
    inside: list[str] = []
    gate = asyncio.Event()

    async def one_at_a_time(payload: Any, io: IO) -> None:
        inside.append(payload["ts"][11:13])
        await gate.wait()

    async with TestPlatform(hourly(one_at_a_time, overlap="queue"), patience=0.02) as platform:
        await platform.advance(hours=3)
        assert inside == ["01"]
        gate.set()
        await platform.settle()

        assert inside == ["01", "02", "03"]


async def test_an_interval_goes_on_from_where_it_was_after_a_restart() -> None:
    client = TriggerClient("app")

    @client.job(trigger=client.triggers.interval(90))
    async def tick(payload: Any, io: IO) -> str:
        at: str = payload["ts"]
        return at[14:19]

    async with TestPlatform(client) as platform:
        await platform.advance(seconds=100)
        await platform.restart()
        await platform.advance(seconds=100)

        assert [run.output for run in await platform.runs()] == ["01:30", "03:00"]


async def test_a_schedule_that_is_taken_out_of_the_code_fires_no_more_and_may_come_back() -> None:
    client = hourly(hour_of)
    without = TriggerClient("app")
    without.define_job(run=hour_of, id="hourly", trigger=without.triggers.invoke())
    async with TestPlatform(client) as platform:
        await platform.advance(hours=1)
        await platform.serve(without)
        await platform.advance(hours=2)
        await platform.serve(client)
        await platform.advance(hours=1)

        assert [run.output for run in await platform.runs()] == ["01", "04"]


async def test_a_schedule_fires_at_its_local_time_in_summer_and_in_winter() -> None:
    client = TriggerClient("app")

    @client.job(trigger=client.triggers.schedule("0 9 * * *", tz="Europe/Berlin"))
    async def morning(payload: Any, io: IO) -> str:
        at: str = payload["ts"]
        return at[5:13]

    async with TestPlatform(client) as platform:
        await platform.advance(days=89)

        outputs = [run.output for run in await platform.runs()]
        assert outputs[:1] + outputs[-2:] == ["01-01T08", "03-29T07", "03-30T07"]
