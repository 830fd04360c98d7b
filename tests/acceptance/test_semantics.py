"""What a job may rely on while it suspends, is dropped from memory, is executed again: seen through the test kit."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.acceptance.jobs import Bodies, client_of, ended, until
from zopio_trigger import IO, Retry, TaskFailed, TriggerClient
from zopio_trigger.errors import DuplicateTaskKey
from zopio_trigger.testing import TestPlatform


@pytest.fixture(params=[False, True], ids=["resident", "reexecuted"])
def reexecute(request: pytest.FixtureRequest) -> bool:
    """Whatever a job may rely on holds while it stays in memory, and when it is executed again."""
    return bool(request.param)


# --- suspension


async def test_a_resident_run_goes_on_where_it_was() -> None:
    entered: list[str] = []

    async def job(payload: Any, io: IO) -> str:
        entered.append("top")
        await io.wait("a-day", days=1)
        return "done"

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.send("job")).until_waiting()
        await platform.advance(days=1)

        assert (run.state, run.output, run.executions, entered) == ("completed", "done", 1, ["top"])


async def test_a_run_dropped_from_memory_is_executed_again_and_finds_its_tasks(reexecute: bool) -> None:
    bodies = Bodies()

    async def job(payload: Any, io: IO) -> list[str]:
        first = await io.run_task("first", bodies("first"))
        await io.wait("a-day", days=1)
        return [first, await io.run_task("second", bodies("second"))]

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        run = await platform.send("job")
        await run.fast_forward()

        assert run.output == ["first", "second"]
        assert bodies.begun == ["first", "second"]
        assert run.executions == (2 if reexecute else 1)


async def test_a_wait_takes_no_slot_and_a_run_that_wakes_up_waits_for_one(reexecute: bool) -> None:
    gate = asyncio.Event()
    order: list[str] = []

    async def sleeper(payload: Any, io: IO) -> None:
        await io.wait("a-minute", minutes=1)
        order.append("woke up")

    async def hog(payload: Any, io: IO) -> None:
        order.append("hog")
        await gate.wait()
        order.append("hog left")

    client = TriggerClient("app")
    for job in (sleeper, hog):
        client.define_job(run=job, id=job.__name__, trigger=client.triggers.event(name=job.__name__))
    async with TestPlatform(client, slots=1, reexecute=reexecute, patience=0.05) as platform:
        sleeping = await platform.send("sleeper")
        await sleeping.until_waiting()
        hogging = await platform.send("hog")
        await platform.advance(minutes=1)
        assert sleeping.state == "ready"
        gate.set()
        await hogging.finished()
        await sleeping.finished()

        assert order == ["hog", "hog left", "woke up"]


async def test_an_evicted_run_ends_although_it_catches_exceptions() -> None:
    caught: list[str] = []

    async def job(payload: Any, io: IO) -> str:
        try:
            await io.wait("a-day", days=1)
        except Exception as error:
            caught.append(repr(error))
        return "done"

    async with TestPlatform(client_of(job), reexecute=True) as platform:
        run = await (await platform.send("job")).fast_forward()

        assert (run.output, run.executions, caught) == ("done", 2, [])


async def test_a_run_that_swallows_its_eviction_changes_nothing() -> None:
    answers: list[str] = []

    async def job(payload: Any, io: IO) -> str:
        try:
            await io.wait("a-day", days=1)
        except BaseException:
            try:
                await io.run_task("after", lambda: "never")
            except BaseException as error:
                answers.append(type(error).__name__)
            return "swallowed"
        return "done"

    async with TestPlatform(client_of(job), reexecute=True) as platform:
        run = await (await platform.send("job")).fast_forward()

        assert (run.output, answers) == ("done", ["Evicted"])
        assert [task.key for task in run.tasks] == ["a-day"]


# --- side by side


async def test_gather_runs_side_by_side_and_waits_together(reexecute: bool) -> None:
    bodies = Bodies()

    async def branch(io: IO, name: str, seconds: int) -> str:
        await io.run_task(("before", name), bodies(f"before {name}"))
        await io.wait(("wait", name), seconds=seconds)
        return await io.run_task(("after", name), bodies(f"after {name}"))

    async def job(payload: Any, io: IO) -> list[str]:
        return list(await asyncio.gather(*(branch(io, name, n) for n, name in enumerate("abc", 1))))

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        run = await platform.send("job")
        await run.until_waiting()
        assert sorted(bodies.begun) == ["before a", "before b", "before c"]
        await platform.advance(seconds=1)
        assert bodies.begun[3:] == ["after a"]
        await run.fast_forward()

        assert run.output == ["after a", "after b", "after c"]
        assert len(bodies.begun) == 6


async def test_a_task_group_waits_together(reexecute: bool) -> None:
    bodies = Bodies()

    async def branch(io: IO, name: str, seconds: int) -> str:
        await io.wait(("wait", name), seconds=seconds)
        return await io.run_task(("after", name), bodies(name))

    async def job(payload: Any, io: IO) -> list[str]:
        async with asyncio.TaskGroup() as group:
            branches = [group.create_task(branch(io, name, n)) for n, name in enumerate("abc", 1)]
        return [task.result() for task in branches]

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        run = await (await platform.send("job")).fast_forward()

        assert (run.output, bodies.begun) == (["a", "b", "c"], ["a", "b", "c"])


async def test_a_task_that_fails_in_a_task_group_cancels_its_siblings_for_now() -> None:
    begun: list[str] = []

    async def slow() -> str:
        begun.append("slow")
        await asyncio.sleep(0.02 if len(begun) > 1 else 30)
        return "slow"

    async def bad() -> None:
        raise ValueError("bad")

    async def job(payload: Any, io: IO) -> str:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(io.run_task("slow", slow))
                await asyncio.sleep(0.01)
                group.create_task(io.run_task("bad", bad))
        except* TaskFailed:
            pass
        await io.wait("a-day", days=1)
        return "done"

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.send("job")).fast_forward()

        assert run.output == "done"
        assert run.task("bad").state == "failed"
        assert begun == ["slow"]


async def test_waits_that_end_at_once_wake_all_branches(reexecute: bool) -> None:
    async def job(payload: Any, io: IO) -> int:
        await asyncio.gather(*(io.wait(("wait", n), seconds=10) for n in range(50)))
        return 50

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        run = await platform.send("job")
        await platform.advance(seconds=10)

        assert run.output == 50


async def test_a_branch_that_works_keeps_the_run_from_being_suspended() -> None:
    gate = asyncio.Event()

    async def work() -> str:
        await gate.wait()
        return "worked"

    async def job(payload: Any, io: IO) -> list[Any]:
        return list(await asyncio.gather(io.wait("a-minute", minutes=1), io.run_task("work", work)))

    async with TestPlatform(client_of(job), patience=0.05) as platform:
        run = await platform.send("job")
        await platform.advance(seconds=30)
        assert run.state == "executing"
        gate.set()
        await platform.settle()
        assert run.state == "suspended"
        await platform.advance(seconds=30)

        assert run.output == [None, "worked"]


async def test_a_wait_that_ends_while_another_branch_works(reexecute: bool) -> None:
    gate = asyncio.Event()
    order: list[str] = []

    async def work() -> None:
        await gate.wait()
        order.append("worked")

    async def waiting(io: IO) -> None:
        await io.wait("a-minute", minutes=1)
        order.append("waited")

    async def job(payload: Any, io: IO) -> None:
        await asyncio.gather(waiting(io), io.run_task("work", work))

    async with TestPlatform(client_of(job), reexecute=reexecute, patience=0.05) as platform:
        run = await platform.send("job")
        await platform.advance(minutes=1)
        assert order == ["waited"]
        gate.set()
        await run.finished()

        assert order == ["waited", "worked"]


async def test_io_parallel_runs_a_few_at_once_and_keeps_the_order(reexecute: bool) -> None:
    running: list[int] = []
    most = 0

    async def square(number: int) -> int:
        nonlocal most
        running.append(number)
        most = max(most, len(running))
        await asyncio.sleep(0)
        running.remove(number)
        return number * number

    async def job(payload: Any, io: IO) -> list[int]:
        squares = await io.parallel("square", range(10), square, at_once=3)
        await io.wait("a-day", days=1)
        return squares

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        run = await (await platform.send("job")).fast_forward()

        assert run.output == [number * number for number in range(10)]
        assert most == 3


async def test_io_parallel_gives_the_failure_of_the_first_task_that_fails() -> None:
    async def bad(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    async def job(payload: Any, io: IO) -> str:
        try:
            await io.parallel("bad", range(5), bad)
        except TaskFailed as error:
            return error.error_message
        return "nothing failed"

    async with TestPlatform(client_of(job)) as platform:
        assert (await (await platform.send("job")).finished()).output == "three"


async def test_io_first_tells_every_execution_the_same(reexecute: bool) -> None:
    gate = asyncio.Event()
    begun: list[str] = []

    async def quick() -> str:
        return "quick"

    async def late() -> str:
        begun.append("late")
        await gate.wait()
        return "late"

    async def job(payload: Any, io: IO) -> list[str]:
        winner = await io.first("race", io.run_task("late", late), io.run_task("quick", quick))
        gate.set()
        await io.wait("a-day", days=1)
        return [winner]

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        run = await (await platform.send("job")).fast_forward()

        assert run.output == ["quick"]
        assert run.executions == (2 if reexecute else 1)
        assert begun == ["late"]  # and not once more when it has lost


async def test_io_first_between_a_wait_and_a_task_is_stable(reexecute: bool) -> None:
    async def forever() -> str:
        await asyncio.Event().wait()
        return "never"

    async def timed_out(io: IO) -> str:
        await io.wait("limit", minutes=5)
        return "time is up"

    async def job(payload: Any, io: IO) -> str:
        said = await io.first("race", io.run_task("forever", forever), timed_out(io))
        await io.wait("a-day", days=1)
        return said

    async with TestPlatform(client_of(job), reexecute=reexecute, patience=0.05) as platform:
        run = await (await platform.send("job")).fast_forward()

        assert run.output == "time is up"


# --- own time limits


async def test_a_job_goes_on_after_its_own_time_limit_around_a_wait() -> None:
    """`asyncio.timeout` goes by real time, while the run is in memory, and only cuts the await."""
    bodies = Bodies()

    async def job(payload: Any, io: IO) -> str:
        try:
            async with asyncio.timeout(0.01):
                await io.wait("a-day", days=1)
        except TimeoutError:
            return await io.run_task("after", bodies("went on"))
        return "waited"

    async with TestPlatform(client_of(job)) as platform:
        run = await ended(await platform.send("job"))

        assert (run.output, bodies.begun) == ("went on", ["went on"])
        assert run.task("a-day").state == "cancelled"


async def test_a_run_that_goes_on_by_itself_asks_for_a_slot_again() -> None:
    gate, left = asyncio.Event(), asyncio.Event()
    order: list[str] = []

    async def impatient(payload: Any, io: IO) -> None:
        try:
            async with asyncio.timeout(0.02):
                await io.wait("a-day", days=1)
        except TimeoutError:
            left.set()
        await io.run_task("after", lambda: order.append("impatient"))

    async def hog(payload: Any, io: IO) -> None:
        await gate.wait()
        order.append("hog")

    async with TestPlatform(client_of(impatient, hog), slots=1, patience=0.05) as platform:
        run = await platform.send("impatient")
        await until(lambda: run.state == "suspended")
        hogging = await platform.send("hog")
        await left.wait()
        await platform.settle()
        assert run.state == "ready"
        gate.set()
        await hogging.finished()
        await run.finished()

        assert order == ["hog", "impatient"]


async def test_a_function_that_returns_without_a_slot_ends_its_run() -> None:
    async def job(payload: Any, io: IO) -> str:
        try:
            async with asyncio.timeout(0.01):
                await io.wait("a-day", days=1)
        except TimeoutError:
            pass
        return "returned"

    async with TestPlatform(client_of(job)) as platform:
        run = await ended(await platform.send("job"))

        assert run.output == "returned"


# --- keys


async def test_a_key_used_twice_names_both_places() -> None:
    async def job(payload: Any, io: IO) -> None:
        await io.run_task("charge", lambda: 1)
        await io.run_task("charge", lambda: 2)

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.send("job")).finished()

        assert run.error["type"] == "DuplicateTaskKey"
        first = job.__code__.co_firstlineno + 1
        assert f"test_semantics.py:{first} and at " in run.error["message"]
        assert f"test_semantics.py:{first + 1};" in run.error["message"]
        assert run.task("charge").output == 1


async def test_a_key_used_twice_in_a_loop_is_refused_and_a_number_beside_it_helps() -> None:
    async def bad(payload: Any, io: IO) -> None:
        for _ in range(3):
            await io.run_task("step", lambda: None)

    async def good(payload: Any, io: IO) -> list[int]:
        return [await io.run_task(("step", number), lambda: number) for number in range(3)]  # noqa: B023

    async with TestPlatform(client_of(bad, good)) as platform:
        refused = await (await platform.send("bad")).finished()
        done = await (await platform.send("good")).finished()

        assert refused.error["type"] == "DuplicateTaskKey"
        assert done.output == [0, 1, 2]


async def test_the_same_key_in_two_parents_is_two_tasks(reexecute: bool) -> None:
    bodies = Bodies()

    async def job(payload: Any, io: IO) -> list[str]:
        async def parent(name: str) -> str:
            inner: str = await io.run_task("inner", bodies(f"inner of {name}"))
            await io.wait("nap", seconds=5)
            return inner

        return list(await asyncio.gather(*(io.run_task(name, parent, name) for name in ("a", "b"))))

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        run = await (await platform.send("job")).fast_forward()

        assert run.output == ["inner of a", "inner of b"]
        assert sorted(bodies.begun) == ["inner of a", "inner of b"]
        assert {task.parent for task in run.tasks if task.key == "inner"} == {"a", "b"}


async def test_a_parent_that_is_tried_again_finds_what_its_children_finished(reexecute: bool) -> None:
    bodies = Bodies()
    tries: list[str] = []

    async def job(payload: Any, io: IO) -> str:
        async def parent() -> str:
            child: str = await io.run_task("child", bodies("child"))
            tries.append("parent")
            if len(tries) == 1:
                raise ValueError("not yet")
            return child

        return await io.run_task("parent", parent, retry=Retry(max_attempts=2))

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        run = await (await platform.send("job")).fast_forward()

        assert (run.output, bodies.begun, tries) == ("child", ["child"], ["parent", "parent"])


async def test_a_key_is_free_again_in_the_next_attempt_of_its_parent_and_only_there() -> None:
    async def job(payload: Any, io: IO) -> str:
        async def parent() -> None:
            await io.run_task("child", lambda: 1)
            await io.run_task("child", lambda: 1)

        try:
            await io.run_task("parent", parent)
        except TaskFailed as error:
            return error.error_type
        return "nothing was refused"

    async with TestPlatform(client_of(job)) as platform:
        assert (await (await platform.send("job")).finished()).output == DuplicateTaskKey.__name__


# --- results


async def test_a_result_is_the_same_in_the_first_execution_and_in_later_ones(reexecute: bool) -> None:
    seen: list[Any] = []

    async def job(payload: Any, io: IO) -> Any:
        result: Any = await io.run_task("pair", lambda: {"pair": (1, 2), "set": None})
        result["pair"].append(3)  # its own copy
        seen.append(result)
        await io.wait("a-day", days=1)
        return result

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        run = await (await platform.send("job")).fast_forward()

        assert run.output == {"pair": [1, 2, 3], "set": None}
        assert seen == [{"pair": [1, 2, 3], "set": None}] * (2 if reexecute else 1)


async def test_values_of_io_stay_what_they_were(reexecute: bool) -> None:
    async def job(payload: Any, io: IO) -> list[str]:
        drawn = [
            str(await io.random("random")), str(await io.uuid("uuid")), str(await io.now("now")),
            str(await io.random("dice", min=1, max=6, round=True)),
        ]  # fmt: skip
        await io.wait("a-day", days=1)
        return [*drawn, str(await io.now("later"))]

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        run = await (await platform.send("job")).fast_forward()

        number, uuid, now, dice, later = run.output
        assert run.task("random").output == float(number)
        assert run.task("uuid").output == uuid
        assert now.startswith("2026-01-01")
        assert later.startswith("2026-01-02")
        assert 1 <= float(dice) <= 6


# --- retries


async def test_a_task_is_tried_again_after_its_delays(reexecute: bool) -> None:
    begun_at: list[int] = []

    async def job(payload: Any, io: IO) -> str:
        async def flaky() -> str:
            begun_at.append(platform.clock.now() // 1_000_000)
            if len(begun_at) < 3:
                raise ConnectionError(f"attempt {len(begun_at)}")
            return "at last"

        retry = Retry(max_attempts=3, min_timeout_in_ms=10_000, factor=3, randomize=False)
        return await io.run_task("flaky", flaky, retry=retry)

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        run = await platform.send("job")
        await run.until_waiting()
        assert "attempt 2 of 3" in await run.waiting_for()
        await run.fast_forward()

        assert run.output == "at last"
        assert [at - begun_at[0] for at in begun_at] == [0, 10, 20]
        assert [(attempt.number, attempt.error["message"]) for attempt in run.attempts] == [
            (1, "attempt 1"),
            (2, "attempt 2"),
        ]


async def test_a_task_that_fails_for_good_raises_the_same_each_time(reexecute: bool) -> None:
    caught: list[tuple[str, str, str]] = []

    def bad() -> None:
        raise KeyError("gone")

    async def job(payload: Any, io: IO) -> str:
        try:
            await io.run_task("bad", bad)
        except TaskFailed as error:
            caught.append((error.key, error.error_type, error.error_message))
        await io.wait("a-day", days=1)
        return "went on"

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        run = await (await platform.send("job")).fast_forward()

        assert run.output == "went on"
        assert caught == [("bad", "KeyError", "'gone'")] * (2 if reexecute else 1)
        assert run.task("bad").error["at"].endswith(" in bad")
