"""How runs end, or are stopped and go on: cancel, time limits, errors that steer, hooks, drain, interruptions."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.acceptance.jobs import Bodies, client_of, ended, until
from zopio_trigger import IO, NonRetryable, Retry, RetryAt, TaskFailed, TaskTimeout, TriggerClient
from zopio_trigger.engine.changes import Changes
from zopio_trigger.errors import Conflict
from zopio_trigger.storage.sqlite.store import SQLiteStore
from zopio_trigger.testing import TestPlatform


@pytest.fixture(params=[False, True], ids=["resident", "reexecuted"])
def reexecute(request: pytest.FixtureRequest) -> bool:
    """Whatever holds while a run stays in memory holds when it is executed again."""
    return bool(request.param)


# --- cancel


async def test_an_async_job_that_waits_is_cancelled_where_it_awaits() -> None:
    seen: list[str] = []

    async def job(payload: Any, io: IO) -> None:
        try:
            await io.wait("a-day", days=1)
        except asyncio.CancelledError:
            seen.append(f"cancelled: {io.cancelled}")
            raise
        finally:
            seen.append("cleaned up")

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.send("job")).until_waiting()
        await run.cancel()
        await until(lambda: len(seen) == 2)
        await platform.advance(days=2)

        assert (run.state, run.task("a-day").state) == ("cancelled", "cancelled")
        assert seen == ["cancelled: True", "cleaned up"]


async def test_an_async_job_that_executes_is_cancelled_where_it_awaits() -> None:
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("body cleaned up")

    async def job(payload: Any, io: IO) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(io.run_task("work", work))
                group.create_task(io.wait("a-day", days=1))
        finally:
            seen.append("job cleaned up")

    async with TestPlatform(client_of(job), patience=0.02) as platform:
        run = await platform.send("job")
        await platform.advance(seconds=1)
        assert run.state == "executing"
        await run.cancel()
        await until(lambda: len(seen) == 2)

        assert run.state == "cancelled"
        assert {task.state for task in run.tasks} == {"cancelled"}
        assert seen == ["body cleaned up", "job cleaned up"]


async def test_a_job_that_goes_on_after_its_cancellation_gets_no_further() -> None:
    seen: list[str] = []

    async def job(payload: Any, io: IO) -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await io.wait("a-day", days=1)
        try:
            await io.run_task("never", lambda: seen.append("never"))
        except BaseException as error:
            seen.append(type(error).__name__)
        return "swallowed"

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.send("job")).until_waiting()
        await run.cancel()
        await until(lambda: bool(seen))

        assert (run.state, run.output, seen) == ("cancelled", None, ["RunCancelled"])


async def test_a_run_that_has_ended_cannot_be_cancelled() -> None:
    async def job(payload: Any, io: IO) -> str:
        return "done"

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.send("job")).finished()

        with pytest.raises(Conflict, match="already ended: completed"):
            await run.cancel()
        assert run.output == "done"


async def test_a_cancelled_run_gives_its_slot_to_the_next() -> None:
    async def job(payload: Any, io: IO) -> str:
        if payload == "stuck":
            await asyncio.Event().wait()
        return str(payload)

    async with TestPlatform(client_of(job, concurrency=1), patience=0.02) as platform:
        stuck = await platform.send("job", "stuck")
        waiting = await platform.send("job", "next")
        await platform.settle()
        assert "slot" in await waiting.waiting_for()
        await stuck.cancel()

        assert (await waiting.finished()).output == "next"


async def test_a_cancelled_run_can_be_retried_and_goes_on_waiting(reexecute: bool) -> None:
    bodies = Bodies()

    async def job(payload: Any, io: IO) -> str:
        await io.run_task("once", bodies("once"))
        await io.wait("a-day", days=1)
        return "done"

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        run = await (await platform.send("job")).until_waiting()
        await platform.advance(hours=6)
        await run.cancel()
        await platform.advance(hours=6)
        await run.retry()
        assert run.state == "suspended"
        await platform.advance(hours=12)

        assert (run.output, bodies.begun) == ("done", ["once"])


# --- time limits


async def test_an_async_body_that_takes_too_long_is_cancelled_and_tried_again(reexecute: bool) -> None:
    seen: list[str] = []

    async def slow() -> str:
        seen.append("begins")
        if len(seen) == 1:
            try:
                await asyncio.Event().wait()
            finally:
                seen.append("is cancelled")
        return "done"

    async def job(payload: Any, io: IO) -> str:
        return await io.run_task("slow", slow, timeout=timedelta(seconds=30), retry=Retry(max_attempts=2))

    async with TestPlatform(client_of(job), reexecute=reexecute, patience=0.02) as platform:
        run = await platform.send("job")
        await platform.advance(seconds=29)
        assert seen == ["begins"]
        await run.fast_forward()

        assert run.output == "done"
        assert seen == ["begins", "is cancelled", "begins"]
        assert run.attempts[0].error["message"] == "took longer than its timeout of 30 s"


async def test_a_body_that_always_takes_too_long_raises_task_timeout(reexecute: bool) -> None:
    async def job(payload: Any, io: IO) -> str:
        try:
            await io.run_task("slow", asyncio.Event().wait, timeout=30)
        except TaskTimeout as error:
            await io.wait("a-day", days=1)
            return f"{error.key} {error.error_type}"
        return "in time"

    async with TestPlatform(client_of(job), reexecute=reexecute, patience=0.02) as platform:
        run = await (await platform.send("job")).fast_forward()

        assert run.output == "slow DeadlineExceeded"


async def test_a_parent_that_takes_too_long_is_tried_again_with_its_unfinished_child(
    reexecute: bool,
) -> None:
    begun: list[str] = []

    async def job(payload: Any, io: IO) -> str:
        async def child() -> str:
            begun.append("child")
            if begun.count("child") == 1:
                await asyncio.Event().wait()
            return "child"

        async def parent() -> str:
            begun.append("parent")
            return await io.run_task("child", child)

        return await io.run_task("parent", parent, timeout=60, retry=Retry(max_attempts=2))

    async with TestPlatform(client_of(job), reexecute=reexecute, patience=0.02) as platform:
        run = await (await platform.send("job")).fast_forward()

        assert run.output == "child"
        assert begun == ["parent", "child", "parent", "child"]
        assert (run.task("parent").attempt, run.task("child").state) == (2, "completed")


async def test_a_task_that_its_job_cancelled_runs_again_when_it_is_asked_for_again() -> None:
    begun: list[str] = []
    cut: list[asyncio.Future[str]] = []

    async def work() -> str:
        begun.append("work")
        if len(begun) == 1:
            await asyncio.Event().wait()
        return "worked"

    async def job(payload: Any, io: IO) -> str:
        working = asyncio.ensure_future(io.run_task("work", work))
        cut.append(working)
        await asyncio.wait([working])
        if working.cancelled():
            await io.wait("a-day", days=1)
            return "gave up"
        return working.result()

    async with TestPlatform(client_of(job), reexecute=True, patience=0.02) as platform:
        run = await platform.send("job")
        await platform.advance(seconds=1)  # long enough for the start of the body to be stored
        assert run.task("work").state == "running"
        cut[0].cancel()
        await platform.settle()
        assert (run.state, run.task("work").state) == ("suspended", "cancelled")
        await platform.advance(days=1)

        assert (run.output, begun) == ("worked", ["work", "work"])
        assert run.task("work").state == "completed"


async def test_a_time_limit_around_a_wait_ends_the_attempt_while_the_run_sleeps() -> None:
    begun: list[str] = []

    async def job(payload: Any, io: IO) -> str:
        async def parent() -> str:
            begun.append("parent")
            await io.wait("a-day", days=1)
            return "waited"

        try:
            return await io.run_task("parent", parent, timeout=60)
        except TaskTimeout as error:
            return f"{error.key} took too long"

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.send("job")).until_waiting()
        await platform.advance(seconds=60)

        assert (run.output, begun, run.executions) == ("parent took too long", ["parent"], 1)


async def test_a_body_that_goes_on_after_its_own_time_limit_around_a_wait_is_recorded() -> None:
    async def job(payload: Any, io: IO) -> str:
        async def impatient() -> str:
            try:
                async with asyncio.timeout(0.01):
                    await io.wait("a-day", days=1)
            except TimeoutError:
                return "impatient"
            return "waited"

        return await io.run_task("impatient", impatient)

    async with TestPlatform(client_of(job)) as platform:
        run = await ended(await platform.send("job"))

        assert (run.output, run.executions) == ("impatient", 1)


async def test_a_child_that_was_being_recorded_when_its_parent_ran_out_of_time_does_not_run_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bodies = Bodies()
    is_slow = [True]
    write = SQLiteStore.write

    async def slow_write(store: SQLiteStore, changes: Changes) -> None:
        await write(store, changes)
        if is_slow and any(task.key == "child" and task.output for task in changes.tasks.values()):
            is_slow.clear()
            platform.clock.advance(60)  # the parent's time is up while its child is being committed
            await asyncio.sleep(0)

    monkeypatch.setattr(SQLiteStore, "write", slow_write)

    async def job(payload: Any, io: IO) -> str:
        async def parent() -> str:
            return await io.run_task("child", bodies("child"))

        return await io.run_task("parent", parent, timeout=60, retry=Retry(max_attempts=2))

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.send("job")).fast_forward()

        assert (run.output, bodies.begun) == ("child", ["child"])
        assert run.task("parent").attempt == 2


# --- errors that steer


async def test_non_retryable_fails_at_once_and_shows_where_it_comes_from(reexecute: bool) -> None:
    bodies = Bodies()

    async def job(payload: Any, io: IO) -> None:
        async def bad() -> None:
            await bodies("bad")()
            try:
                raise KeyError("card")
            except KeyError as error:
                raise NonRetryable("no such card") from error

        await io.run_task("bad", bad, retry=Retry(max_attempts=5))

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        run = await (await platform.send("job")).finished()

        assert (run.state, bodies.begun) == ("failed", ["bad"])
        assert run.task("bad").error["type"] == "KeyError"


@pytest.mark.parametrize("retry", [None, Retry(max_attempts=2)])
async def test_retry_at_tries_again_at_that_time_whatever_the_policy(
    reexecute: bool, retry: Retry | None
) -> None:
    begun_at: list[datetime] = []

    async def job(payload: Any, io: IO) -> str:
        async def limited() -> str:
            begun_at.append(datetime.fromtimestamp(platform.clock.now() // 1_000_000, UTC))
            if len(begun_at) < 4:
                raise RetryAt(begun_at[0] + timedelta(hours=len(begun_at)), "the API said so")
            return "done"

        return await io.run_task("limited", limited, retry=retry)

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        run = await (await platform.send("job")).fast_forward()

        assert run.output == "done"
        assert [at - begun_at[0] for at in begun_at] == [timedelta(hours=n) for n in range(4)]


async def test_retry_at_a_time_that_is_none_fails_the_task() -> None:
    async def bad() -> None:
        raise RetryAt(datetime(2026, 1, 1))  # noqa: DTZ001  # naive: the mistake this is about

    async def job(payload: Any, io: IO) -> str:
        try:
            await io.run_task("bad", bad)
        except TaskFailed as error:
            return error.error_type
        return "nothing was refused"

    async with TestPlatform(client_of(job)) as platform:
        assert (await (await platform.send("job")).finished()).output == "InvalidInput"


async def test_durable_begin_does_not_run_a_body_twice() -> None:
    bodies = Bodies()

    async def job(payload: Any, io: IO) -> str:
        try:
            await io.run_task("charge", bodies("charge"), durable_begin=True)
        except TaskFailed as error:
            return error.error_message
        return "charged"

    async with TestPlatform(client_of(job)) as platform:
        platform.crash_before("charge")
        run = await (await platform.send("job")).finished()

        assert bodies.begun == ["charge"]
        assert "durable_begin" in run.output


# --- hooks


async def test_hooks_are_called_after_the_end_with_what_it_was() -> None:
    told: list[Any] = []

    async def on_success(notification: Any, io: IO) -> None:
        told.append(("success", notification["ok"], notification["output"], notification["error"]))

    async def on_failure(notification: Any, io: IO) -> None:
        told.append(("failure", notification["ok"], notification["error"]["message"]))

    async def job(payload: Any, io: IO) -> str:
        if payload == "bad":
            raise ValueError("bad")
        return "good"

    async with TestPlatform(client_of(job, on_success=on_success, on_failure=on_failure)) as platform:
        for payload in ("good", "bad"):
            await (await platform.send("job", payload)).finished()
        cancelled = await platform.send("job", "good")
        await cancelled.finished()

        assert told == [
            ("success", True, "good", None),
            ("failure", False, "bad"),
            ("success", True, "good", None),
        ]


async def test_a_cancelled_run_calls_no_hook() -> None:
    told: list[Any] = []

    async def hook(notification: Any, io: IO) -> None:
        told.append(notification)

    async def job(payload: Any, io: IO) -> None:
        await io.wait("a-day", days=1)

    async with TestPlatform(client_of(job, on_success=hook, on_failure=hook)) as platform:
        run = await (await platform.send("job")).until_waiting()
        await run.cancel()
        await platform.advance(days=2)

        assert told == []


# --- drain and stop


async def test_a_stop_hands_back_what_executes_and_it_goes_on_elsewhere() -> None:
    begun: list[str] = []
    cleaned: list[str] = []

    async def work() -> str:
        begun.append("work")
        if len(begun) == 1:
            try:
                await asyncio.Event().wait()
            finally:
                cleaned.append("cleaned up")
        return "worked"

    async def job(payload: Any, io: IO) -> str:
        return await io.run_task("work", work)

    async with TestPlatform(client_of(job), patience=0.02) as platform:
        run = await platform.send("job")
        await platform.restart()
        assert cleaned == ["cleaned up"]
        await run.finished()

        assert (run.output, begun, run.row.interruptions) == ("worked", ["work", "work"], 0)


async def test_waiting_runs_survive_a_stop(reexecute: bool) -> None:
    bodies = Bodies()

    async def job(payload: Any, io: IO) -> str:
        await io.run_task("before", bodies("before"))
        await io.wait("a-day", days=1)
        return await io.run_task("after", bodies("after"))

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        run = await (await platform.send("job")).until_waiting()
        await platform.restart()
        await platform.advance(days=1)

        assert (run.output, bodies.begun) == ("after", ["before", "after"])


# --- interruptions


def killer(deadly: int) -> tuple[TriggerClient, list[str], list[TestPlatform]]:
    """A job that kills its process so many times, and one that only executes beside it."""
    seen: list[str] = []
    platforms: list[TestPlatform] = []

    async def kill(payload: Any, io: IO) -> str:
        seen.append("kill")
        if seen.count("kill") <= deadly:
            await asyncio.sleep(0.01)
            platforms[0].crash()
            await asyncio.Event().wait()
        return "survived"

    async def neighbour(payload: Any, io: IO) -> str:
        seen.append("neighbour")
        return "fine"

    return client_of(kill, neighbour), seen, platforms


async def test_a_run_that_dies_with_its_process_executes_again() -> None:
    client, seen, platforms = killer(deadly=2)
    async with TestPlatform(client) as platform:
        platforms.append(platform)
        run = await (await platform.send("kill")).finished()

        assert (run.output, run.executions, seen) == ("survived", 3, ["kill"] * 3)


async def test_from_the_third_death_on_a_run_executes_alone() -> None:
    client, seen, platforms = killer(deadly=4)
    async with TestPlatform(client, patience=1) as platform:
        platforms.append(platform)
        run = await platform.send("kill")
        await until(lambda: seen.count("kill") == 4)  # executing for the fourth time: alone
        other = await platform.send("neighbour")
        before = len(seen)
        assert seen[before - 1] == "kill"
        await run.finished()
        await other.finished()

        assert (run.output, run.executions, other.output) == ("survived", 5, "fine")


async def test_the_fifth_death_ends_a_run() -> None:
    client, seen, platforms = killer(deadly=99)
    async with TestPlatform(client) as platform:
        platforms.append(platform)
        run = await (await platform.send("kill")).finished()

        assert (run.state, run.error["type"], len(seen)) == ("crashed", "Interrupted", 5)
        assert "died 5 times" in run.error["message"]


async def test_a_completed_task_starts_the_count_anew() -> None:
    deaths: list[int] = []
    platforms: list[TestPlatform] = []

    async def job(payload: Any, io: IO) -> int:
        for number in range(4):
            await io.run_task(("step", number), lambda: None)
            if deaths.count(number) < 2:
                deaths.append(number)
                platforms[0].crash()
                await asyncio.Event().wait()
        return len(deaths)

    async with TestPlatform(client_of(job)) as platform:
        platforms.append(platform)
        run = await (await platform.send("job")).finished()

        assert (run.state, run.output, run.row.interruptions) == ("completed", 8, 2)


async def test_a_waiting_run_does_not_count_the_deaths_of_its_process() -> None:
    async def job(payload: Any, io: IO) -> str:
        await io.wait("a-day", days=1)
        return "done"

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.send("job")).until_waiting()
        for _ in range(7):
            platform.crash()
            await platform.settle()
        await platform.advance(days=1)

        assert (run.output, run.row.interruptions) == ("done", 0)
