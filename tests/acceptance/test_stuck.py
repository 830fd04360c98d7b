"""Whatever user code does, its run comes to an end and harms only itself."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from zopio_trigger import IO, SyncIO, TaskFailed, TriggerClient
from zopio_trigger.errors import InvalidInput
from zopio_trigger.testing import TestPlatform


def client_of(job: Any) -> TriggerClient:
    client = TriggerClient("stuck")
    client.define_job(run=job, id="job", trigger=client.triggers.invoke())
    return client


async def test_a_body_that_goes_on_while_its_run_sleeps_keeps_its_result() -> None:
    begun: list[str] = []

    async def impatient(io: IO) -> str:
        begun.append("body")
        with contextlib.suppress(asyncio.TimeoutError):
            async with asyncio.timeout(0.02):
                await io.wait("w", hours=1)
        return "gave up"

    async def job(payload: Any, io: IO) -> str:
        return await io.run_task("impatient", impatient, io)

    async with TestPlatform(client_of(job)) as platform:
        run = await platform.run("job", None)
        await asyncio.sleep(0.1)  # the loop's own time limit of 20 ms passes
        await run.finished()

    assert (run.state, run.output, begun) == ("completed", "gave up", ["body"])


async def test_a_loop_of_refused_calls_ends_its_run_and_nobody_elses() -> None:
    async def charge() -> None:
        raise ValueError("no")

    async def job(payload: Any, io: IO) -> None:
        while True:
            with contextlib.suppress(Exception):
                return await io.run_task("charge", charge)

    async with TestPlatform(client_of(job)) as platform:
        run = await platform.run("job", None)
        for _ in range(3_000):  # it never rests, so time is moved under it
            platform.clock.advance(0.1)
            await asyncio.sleep(0)
        await run.finished()

    assert run.state == "failed"


@pytest.mark.parametrize("error", [GeneratorExit, SystemExit, asyncio.CancelledError])
async def test_raising_what_belongs_to_the_process_fails_the_run(error: type[BaseException]) -> None:
    async def job(payload: Any, io: IO) -> None:
        raise error

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.run("job", None)).finished()

    assert run.state == "failed"


async def test_a_keyboard_interrupt_raised_in_a_thread_is_not_one_of_the_keyboard() -> None:
    def body() -> None:
        raise KeyboardInterrupt

    async def job(payload: Any, io: IO) -> None:
        await io.run_task("body", body)

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.run("job", None)).finished()

    assert run.state == "failed"


async def test_an_exception_that_cannot_be_described_fails_its_run() -> None:
    class Liar(TaskFailed):
        def __init__(self) -> None: ...

    async def job(payload: Any, io: IO) -> None:
        raise Liar

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.run("job", None)).finished()

    assert run.state == "failed"


async def test_a_task_name_that_cannot_be_stored_is_refused_at_the_call() -> None:
    async def body() -> None: ...

    async def job(payload: Any, io: IO) -> None:
        with pytest.raises(InvalidInput, match="the name of a task"):
            await io.run_task("k", body, name="\0")

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.run("job", None)).finished()

    assert run.state == "completed"


async def test_a_wait_that_becomes_a_task_of_the_same_key_runs_the_task() -> None:
    async def pay() -> str:
        return "paid"

    async def before(payload: Any, io: IO) -> None:
        await io.wait("step", hours=1)
        await io.wait("end", hours=1)

    async def after(payload: Any, io: IO) -> str:
        paid = await io.run_task("step", pay)
        await io.wait("end", hours=1)
        return paid

    async with TestPlatform(client_of(before)) as platform:
        run = await platform.run("job", None)
        await platform.advance(hours=1)
        await platform.serve(client_of(after))
        await run.fast_forward()

    assert run.output == "paid"


async def test_a_sync_job_goes_on_after_a_refusal() -> None:
    def body() -> int:
        return 1

    def job(payload: Any, io: SyncIO) -> int:
        io.run_task("one", body)
        with contextlib.suppress(Exception):
            io.run_task("one", body)
        return io.run_task("two", body)

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.run("job", None)).finished()

    assert (run.state, run.output) == ("completed", 1)
