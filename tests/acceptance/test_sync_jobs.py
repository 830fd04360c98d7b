"""Jobs that are plain functions: their threads, waits, and how they are stopped."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from tests.acceptance.jobs import client_of, until
from zopio_trigger import Retry, SyncIO, TaskFailed, TaskTimeout
from zopio_trigger.testing import TestPlatform


@pytest.fixture(params=[False, True], ids=["resident", "reexecuted"])
def reexecute(request: pytest.FixtureRequest) -> bool:
    """Whatever holds while a run stays in memory holds when it is executed again."""
    return bool(request.param)


class SyncBodies:
    """Plain functions as bodies of tasks, and which of them began in which thread."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.threads: set[int] = set()

    def body(self, name: str) -> str:
        self.begun.append(name)
        self.threads.add(threading.get_ident())
        return name


async def test_a_sync_job_runs_its_tasks_in_its_own_thread(reexecute: bool) -> None:
    bodies = SyncBodies()
    threads: set[int] = set()

    def job(payload: dict[str, int], io: SyncIO) -> list[str]:
        threads.add(threading.get_ident())
        io.logger.info("begins", n=payload["n"])
        return [io.run_task(("task", n), bodies.body, f"task {n}") for n in range(payload["n"])]

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        run = await (await platform.send("job", {"n": 3})).finished()

        assert run.output == ["task 0", "task 1", "task 2"]
        assert run.messages == ["begins"]
        assert bodies.threads == threads != {threading.get_ident()}


async def test_a_short_wait_blocks_the_thread() -> None:
    bodies = SyncBodies()

    def job(payload: Any, io: SyncIO) -> str:
        bodies.body("top")
        io.wait("moment", seconds=0.5)
        return bodies.body("end")

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.send("job")).until_waiting()
        await platform.advance(seconds=0.5)

        assert (run.output, run.executions, bodies.begun) == ("end", 1, ["top", "end"])
        assert len(bodies.threads) == 1


async def test_a_long_wait_gives_the_thread_back_and_the_function_begins_again() -> None:
    bodies = SyncBodies()
    caught: list[str] = []

    def job(payload: Any, io: SyncIO) -> str:
        bodies.body("top")
        io.logger.info("before the wait")
        io.run_task("once", bodies.body, "once")
        try:
            io.wait("a-day", days=1)
        except Exception as error:
            caught.append(repr(error))
        io.logger.info("after the wait")
        return bodies.body("end")

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.send("job")).until_waiting()
        assert bodies.begun == ["top", "once"]
        await platform.advance(days=1)

        assert (run.output, run.executions, caught) == ("end", 2, [])
        assert bodies.begun == ["top", "once", "top", "end"]
        assert run.messages == ["before the wait", "after the wait"]


async def test_what_a_job_returns_after_it_was_unwound_is_ignored() -> None:
    entered: list[int] = []

    def job(payload: Any, io: SyncIO) -> str:
        entered.append(1)
        try:
            io.wait("a-day", days=1)
        except BaseException:
            try:
                io.run_task("dead", lambda: "never")
            except BaseException:
                return "swallowed twice"
        return "waited"

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.send("job")).fast_forward()

        assert (run.output, len(entered)) == ("waited", 2)
        assert [task.key for task in run.tasks] == ["a-day"]


async def test_nested_tasks_and_async_bodies_work_in_a_sync_job(reexecute: bool) -> None:
    bodies = SyncBodies()

    def job(payload: Any, io: SyncIO) -> str:
        async def inner_async() -> str:
            await asyncio.sleep(0)
            return bodies.body("inner async")

        def outer() -> str:
            first = io.run_task("inner", bodies.body, "inner")
            io.wait("a-day", days=1)
            return first + ", " + io.run_task("inner-async", inner_async)

        return io.run_task("outer", outer)

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        run = await (await platform.send("job")).fast_forward()

        assert run.output == "inner, inner async"
        assert bodies.begun == ["inner", "inner async"]
        assert [task.parent for task in run.tasks if task.key != "outer"] == ["outer"] * 3


async def test_a_task_of_a_sync_job_is_tried_again(reexecute: bool) -> None:
    tries: list[int] = []

    def job(payload: Any, io: SyncIO) -> str:
        def flaky() -> str:
            tries.append(1)
            if len(tries) < 3:
                raise ConnectionError("no")
            return "yes"

        return io.run_task("flaky", flaky, retry=Retry(max_attempts=3))

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        run = await (await platform.send("job")).fast_forward()

        assert (run.output, len(run.attempts)) == ("yes", 2)


async def test_a_key_used_twice_in_a_sync_job_names_both_places() -> None:
    def job(payload: Any, io: SyncIO) -> None:
        io.run_task("charge", lambda: 1)
        io.run_task("charge", lambda: 2)

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.send("job")).finished()

        first = job.__code__.co_firstlineno + 1
        assert run.error["type"] == "DuplicateTaskKey"
        assert f"test_sync_jobs.py:{first} and at " in run.error["message"]
        assert f"test_sync_jobs.py:{first + 1};" in run.error["message"]


async def test_every_call_of_io_works_in_a_sync_job(reexecute: bool) -> None:
    def job(payload: Any, io: SyncIO) -> list[Any]:
        values = [io.random("random"), str(io.uuid("uuid")), str(io.now("now"))]
        sent = io.send_event("tell", "nobody.listens", {"n": 1})
        several = io.send_events("tell-all", [("nobody.listens", {"n": 2})])
        squares = io.parallel("square", [1, 2, 3], lambda number: number * number)
        io.wait("a-day", days=1)
        return [values, sent.name, len(several), squares]

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        run = await (await platform.send("job")).fast_forward()

        assert run.output[1:] == ["nobody.listens", 1, [1, 4, 9]]
        assert len([event for event in await platform.events() if event.name == "nobody.listens"]) == 2


async def test_send_event_works_in_a_sync_job_and_sends_once() -> None:
    def tell() -> None:
        client.send_event("nobody.listens", {"n": 2})

    def job(payload: Any, io: SyncIO) -> None:
        client.send_event("nobody.listens", {"n": 1})
        io.run_task("tell", tell)
        io.wait("a-day", days=1)

    client = client_of(job)
    async with TestPlatform(client) as platform:
        run = await (await platform.send("job")).fast_forward()

        sent = [event.payload for event in await platform.events() if event.name == "nobody.listens"]
        assert (run.state, run.executions, sent) == ("completed", 2, ['{"n":1}', '{"n":2}'])


async def test_a_sync_job_that_is_cancelled_stops_at_its_next_io_call() -> None:
    entered, go_on = threading.Event(), threading.Event()
    seen: list[Any] = []

    def job(payload: Any, io: SyncIO) -> None:
        entered.set()
        go_on.wait(5)
        seen.append(io.cancelled)
        try:
            io.run_task("never", lambda: seen.append("never"))
        except BaseException as error:
            seen.append(type(error).__name__)
            raise

    async with TestPlatform(client_of(job), patience=0.05) as platform:
        run = await platform.send("job")
        await until(entered.is_set)
        await run.cancel("changed my mind")
        assert run.state == "cancelled"
        go_on.set()
        await until(lambda: len(seen) == 2)

        assert seen == [True, "RunCancelled"]


@pytest.mark.parametrize("wait", [0.5, 86_400])
async def test_a_sync_job_that_waits_can_be_cancelled(wait: float) -> None:
    ended: list[str] = []

    def job(payload: Any, io: SyncIO) -> None:
        try:
            io.wait("wait", seconds=wait)
        finally:
            ended.append("ended")

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.send("job")).until_waiting()
        await run.cancel()
        await until(lambda: bool(ended))

        assert (run.state, run.task("wait").state) == ("cancelled", "cancelled")


async def test_a_body_in_a_thread_that_takes_too_long_fails_and_its_retry_waits_for_it() -> None:
    gate = threading.Event()
    order: list[str] = []

    def slow() -> str:
        order.append("begins")
        if len(order) == 1:
            gate.wait(5)
        order.append("returns")
        return "done"

    async def job(payload: Any, io: Any) -> str:
        result: str = await io.run_task("slow", slow, timeout=10, retry=Retry(max_attempts=2))
        return result

    async with TestPlatform(client_of(job), patience=0.05) as platform:
        run = await platform.send("job")
        await platform.advance(seconds=10)
        assert run.attempts[0].error["type"] == "DeadlineExceeded"
        await platform.advance(minutes=5)
        assert order == ["begins"]
        gate.set()
        await run.finished()

        assert order == ["begins", "returns", "begins", "returns"]
        assert (run.output, len(run.attempts)) == ("done", 1)


async def test_a_body_may_overlap_with_its_retry_when_it_says_so() -> None:
    gate = threading.Event()
    order: list[str] = []

    def slow() -> str:
        order.append("begins")
        if len(order) == 1:
            gate.wait(5)
            order.append("returns")
        return "done"

    async def job(payload: Any, io: Any) -> str:
        result: str = await io.run_task(
            "slow", slow, timeout=10, retry=Retry(max_attempts=2), overlap_ok=True
        )
        return result

    async with TestPlatform(client_of(job), patience=0.05) as platform:
        run = await platform.send("job")
        await platform.advance(seconds=10)
        await platform.advance(minutes=5)
        assert run.output == "done"
        gate.set()
        await until(lambda: len(order) == 3)

        assert order == ["begins", "begins", "returns"]


async def test_a_body_of_a_sync_job_that_takes_too_long_fails_and_its_retry_waits_for_it() -> None:
    gate = threading.Event()
    order: list[str] = []

    def slow() -> str:
        order.append("begins")
        if len(order) == 1:
            gate.wait(5)
        order.append("returns")
        return "done"

    def job(payload: Any, io: SyncIO) -> str:
        return io.run_task("slow", slow, timeout=10, retry=Retry(max_attempts=2))

    async with TestPlatform(client_of(job), patience=0.05) as platform:
        run = await platform.send("job")
        await platform.advance(seconds=10)
        assert run.attempts[0].error["type"] == "DeadlineExceeded"
        await platform.advance(minutes=5)
        assert order == ["begins"]
        gate.set()
        await run.finished()

        assert order == ["begins", "returns", "begins", "returns"]
        assert (run.output, len(run.attempts)) == ("done", 1)


async def test_a_sync_body_that_takes_too_long_for_good_raises_task_timeout() -> None:
    gate = threading.Event()

    def job(payload: Any, io: SyncIO) -> str:
        try:
            io.run_task("slow", gate.wait, 5, timeout=10)
        except TaskTimeout as error:
            return error.key
        return "in time"

    async with TestPlatform(client_of(job), patience=0.05) as platform:
        run = await platform.send("job")
        await platform.advance(seconds=10)
        gate.set()

        assert (await run.finished()).output == "slow"


@pytest.mark.parametrize("where", ["job", "task of a sync job", "task of an async job"])
async def test_stop_iteration_is_a_failure_like_any_other(where: str) -> None:
    """`next()` of something empty: Python loses this exception on its way out of a thread."""

    def bad() -> Any:
        return next(iter(()))

    def sync_job(payload: Any, io: SyncIO) -> Any:
        return bad() if where == "job" else io.run_task("bad", bad)

    async def async_job(payload: Any, io: Any) -> Any:
        return await io.run_task("bad", bad)

    job = async_job if where == "task of an async job" else sync_job
    async with TestPlatform(client_of(job), patience=0.05) as platform:
        run = await (await platform.send(job.__name__)).finished(timeout_seconds=1)

        assert run.state == "failed"
        assert "StopIteration" in run.error["message"]


async def test_a_plain_function_in_an_async_job_logs_and_sees_variables_of_its_context() -> None:
    variable = contextvars.ContextVar("variable", default="unset")

    async def job(payload: Any, io: Any) -> str:
        variable.set("set")

        def body() -> str:
            io.logger.info("from a thread", {"n": 1})
            return variable.get()

        result: str = await io.run_task("body", body)
        return result

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.send("job")).finished()
        other = await (await platform.send("job")).finished()

        assert (run.output, other.output) == ("set", "set")
        assert [(line.message, line.task) for line in run.logs] == [("from a thread", "body")]


async def test_variables_of_one_run_are_not_seen_in_another() -> None:
    variable = contextvars.ContextVar("variable", default="unset")

    async def parent(payload: Any, io: Any) -> str:
        variable.set("of the parent")
        await io.send_event("tell", "child")
        return variable.get()

    async def child(payload: Any, io: Any) -> str:
        return variable.get()

    async with TestPlatform(client_of(parent, child)) as platform:
        await (await platform.send("parent")).finished()

        assert [run.output for run in await platform.runs()] == ["of the parent", "unset"]


async def test_more_sync_jobs_can_wait_than_there_are_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zopio_trigger.worker.worker.MAX_THREADS", 4)

    def job(payload: Any, io: SyncIO) -> int:
        io.wait("a-day", days=1)
        return int(io.run_task("number", lambda: payload))

    async with TestPlatform(client_of(job)) as platform:
        runs = [await platform.run(job, number) for number in range(30)]
        await platform.settle()
        assert {run.state for run in runs} == {"suspended"}
        await platform.advance(days=1)

        assert [run.output for run in runs] == list(range(30))


async def test_a_failure_in_a_sync_job_is_stored_with_its_place() -> None:
    def bad() -> None:
        raise KeyError("gone")

    def job(payload: Any, io: SyncIO) -> None:
        try:
            io.run_task("bad", bad)
        except TaskFailed as error:
            raise RuntimeError("could not go on") from error

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.send("job")).finished()

        assert run.error["type"] == "RuntimeError"
        assert "KeyError" in run.error["traceback"]
        assert run.error["at"].endswith(" in job")
