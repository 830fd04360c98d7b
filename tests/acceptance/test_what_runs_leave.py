"""What runs leave behind: lines, events sent, outputs; and what becomes of values that cannot be stored."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.acceptance.jobs import Bodies, client_of
from zopio_trigger import IO, Retry, TaskFailed, TriggerClient
from zopio_trigger.testing import TestPlatform

EVENT_OF_NOBODY = "audit.written"


@pytest.fixture(params=[False, True], ids=["resident", "reexecuted"])
def reexecute(request: pytest.FixtureRequest) -> bool:
    """Whatever holds while a run stays in memory holds when it is executed again."""
    return bool(request.param)


# --- lines


async def test_a_line_is_kept_once_although_its_code_runs_again(reexecute: bool) -> None:
    async def job(payload: Any, io: IO) -> None:
        await io.logger.info("begins", {"step": 0})
        await io.run_task("one", lambda: 1)
        await io.logger.info("one is done", step=1)
        await io.wait("a-day", days=1)
        io.logger.warn("a day is over")
        await io.run_task("two", lambda: 2)
        io.logger.error("ends")

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        run = await (await platform.send("job")).fast_forward()

        assert run.messages == ["begins", "one is done", "a day is over", "ends"]
        assert [line.level for line in run.logs] == ["info", "info", "warn", "error"]
        assert [line.data for line in run.logs] == [{"step": 0}, {"step": 1}, None, None]


async def test_lines_of_branches_are_kept_once(reexecute: bool) -> None:
    async def branch(io: IO, name: str) -> None:
        io.logger.info(f"{name} begins")
        await io.run_task(("one", name), lambda: 1)
        io.logger.info(f"{name} waits")
        await io.wait(("wait", name), hours=1)
        io.logger.info(f"{name} ends")
        await io.run_task(("two", name), lambda: 2)

    async def job(payload: Any, io: IO) -> None:
        io.logger.info("before")
        await asyncio.gather(branch(io, "a"), branch(io, "b"))
        io.logger.info("after")

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        run = await (await platform.send("job")).fast_forward()

        assert sorted(run.messages) == [
            "a begins", "a ends", "a waits", "after", "b begins", "b ends", "b waits", "before",
        ]  # fmt: skip


async def test_a_line_before_a_gather_of_finished_tasks_is_kept_once(reexecute: bool) -> None:
    async def job(payload: Any, io: IO) -> None:
        io.logger.info("before")
        await asyncio.gather(*(io.run_task(("task", n), lambda: None) for n in range(3)))
        io.logger.info("between")
        await asyncio.gather(*(io.wait(("wait", n), hours=1) for n in range(3)))

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        run = await (await platform.send("job")).fast_forward()

        assert run.messages == ["before", "between"]


async def test_lines_of_a_task_name_it_and_come_with_each_attempt(reexecute: bool) -> None:
    tries: list[int] = []

    async def job(payload: Any, io: IO) -> None:
        def flaky() -> None:
            tries.append(1)
            io.logger.info(f"attempt {len(tries)}")
            if len(tries) == 1:
                raise ValueError("not yet")

        await io.run_task("flaky", flaky, retry=Retry(max_attempts=2))
        await io.wait("a-day", days=1)

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        run = await (await platform.send("job")).fast_forward()

        assert [(line.message, line.task) for line in run.logs] == [
            ("attempt 1", "flaky"),
            ("attempt 2", "flaky"),
        ]


async def test_lines_reach_the_store_while_a_body_still_runs() -> None:
    gate = asyncio.Event()

    async def job(payload: Any, io: IO) -> None:
        io.logger.info("begins")
        await io.run_task("work", gate.wait)

    async with TestPlatform(client_of(job), patience=0.05) as platform:
        run = await platform.send("job")
        await platform.advance(seconds=1)

        assert run.messages == ["begins"]
        assert run.task("work").state == "running"
        gate.set()
        await run.finished()
        assert run.messages == ["begins"]


# --- events


@pytest.mark.parametrize("crash", [False, True])
async def test_a_plain_send_event_sends_once_however_often_its_code_runs(
    reexecute: bool, crash: bool
) -> None:
    tries: list[int] = []

    async def job(payload: Any, io: IO) -> None:
        await client.send_event(EVENT_OF_NOBODY, {"n": 1})
        await client.send_event(EVENT_OF_NOBODY, {"n": 1})  # a second one on purpose

        async def flaky() -> None:
            await client.send_event(EVENT_OF_NOBODY, {"n": 2})
            tries.append(1)
            if len(tries) == 1:
                raise ValueError("not yet")

        await io.run_task("flaky", flaky, retry=Retry(max_attempts=2))
        await io.wait("a-day", days=1)

    client = client_of(job)
    async with TestPlatform(client, reexecute=reexecute) as platform:
        if crash:
            platform.crash_before("flaky")
        run = await (await platform.send("job")).fast_forward()

        sent = [event for event in await platform.events() if event.name == EVENT_OF_NOBODY]
        assert run.state == "completed"
        assert [event.payload for event in sent] == ['{"n":1}', '{"n":1}', '{"n":2}']
        assert {event.origin_run for event in sent} == {run.id}


async def test_events_sent_together_and_jobs_invoked_in_a_run_are_sent_once(reexecute: bool) -> None:
    async def job(payload: Any, io: IO) -> None:
        await client.send_events([(EVENT_OF_NOBODY, {"n": 1}), (EVENT_OF_NOBODY, {"n": 1})])
        await client.invoke("child", {"n": 2})
        await client.invoke("other-child", {"n": 2})
        await io.wait("a-day", days=1)

    async def child(payload: Any, io: IO) -> int:
        return int(payload["n"])

    async def other_child(payload: Any, io: IO) -> int:
        return int(payload["n"])

    client = client_of(job, child)
    client.define_job(run=other_child, id="other-child", trigger=client.triggers.invoke())
    async with TestPlatform(client, reexecute=reexecute) as platform:
        await (await platform.send("job")).fast_forward()

        sent = [event.payload for event in await platform.events() if event.name == EVENT_OF_NOBODY]
        assert sent == ['{"n":1}', '{"n":1}']
        assert [(run.job, run.output) for run in (await platform.runs())[1:]] == [
            ("child", 2),
            ("other-child", 2),
        ]


async def test_io_send_event_sends_once_and_answers_the_same(reexecute: bool) -> None:
    answers: list[str] = []

    async def job(payload: Any, io: IO) -> None:
        sent = await io.send_event("tell", EVENT_OF_NOBODY, {"n": 1})
        several = await io.send_events("tell-all", [(EVENT_OF_NOBODY, {"n": n}) for n in (2, 3)])
        answers.extend(each.id for each in [sent, *several])
        await io.wait("a-day", days=1)

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        await (await platform.send("job")).fast_forward()

        sent = [event for event in await platform.events() if event.name == EVENT_OF_NOBODY]
        assert [event.payload for event in sent] == ['{"n":1}', '{"n":2}', '{"n":3}']
        assert answers == [event.id for event in sent] * (2 if reexecute else 1)


async def test_an_event_sent_by_a_run_starts_runs() -> None:
    async def parent(payload: Any, io: IO) -> None:
        await io.send_event("start", "child", {"from": "parent"})

    async def child(payload: Any, io: IO) -> str:
        return str(payload["from"])

    async with TestPlatform(client_of(parent, child)) as platform:
        await (await platform.send("parent")).finished()

        assert [run.output for run in await platform.runs(child)] == ["parent"]


async def test_a_second_event_with_an_id_starts_nothing() -> None:
    bodies = Bodies()

    async def job(payload: Any, io: IO) -> None:
        await io.run_task("once", bodies("once"))

    client = client_of(job)
    async with TestPlatform(client) as platform:
        first, second, other = await asyncio.gather(
            client.send_event("job", {"a": 1}, id="order-1"),
            client.send_event("job", {"a": 1}, id="order-1"),
            client.send_event("job", {"a": 2}, id="order-1"),
        )
        again = await client.send_event("job", {"a": 1}, id="order-1")

        assert (first.is_duplicate, second.is_duplicate, again.is_duplicate) == (False, True, True)
        assert (second.payload_differs, other.payload_differs) == (False, True)
        assert len(await platform.runs()) == 1
        assert bodies.begun == ["once"]


async def test_equal_json_is_no_different_payload() -> None:
    async def job(payload: Any, io: IO) -> None: ...

    client = client_of(job)
    async with TestPlatform(client):
        await client.send_event("job", {"a": 1, "b": 2}, id="order-1")
        again = await client.send_event("job", {"b": 2, "a": 1}, id="order-1")

        assert (again.is_duplicate, again.payload_differs) == (True, False)


# --- values that cannot be stored


class Sulky(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text for you")


async def test_an_output_that_cannot_be_stored_fails_its_run_and_no_other() -> None:
    async def bad(payload: Any, io: IO) -> Any:
        return {"socket": object()}

    async def good(payload: Any, io: IO) -> str:
        return "fine"

    client = client_of(bad, good)
    async with TestPlatform(client) as platform:
        runs = [await platform.send(name) for name in ("bad", "good", "bad", "good")]
        await platform.settle()

        assert [run.state for run in runs] == ["failed", "completed", "failed", "completed"]
        assert "$.socket" in runs[0].error["message"]


async def test_a_result_that_cannot_be_stored_fails_its_task_without_a_retry() -> None:
    bodies = Bodies()

    async def job(payload: Any, io: IO) -> str:
        try:
            await io.run_task("bad", bodies("bad", {1: "a key that is no text"}), retry=Retry(max_attempts=3))
        except TaskFailed as error:
            return error.error_type
        return "nothing was refused"

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.send("job")).fast_forward()

        assert (run.output, bodies.begun) == ("InvalidInput", ["bad"])


@pytest.mark.parametrize("where", ["job", "task"])
async def test_an_exception_without_a_text_ends_its_run_with_words(where: str) -> None:
    def bad() -> None:
        raise Sulky

    async def job(payload: Any, io: IO) -> None:
        if where == "task":
            await io.run_task("bad", bad)
        else:
            bad()

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.send("job")).finished()

        assert run.state == "failed"
        assert run.error["type"] == "Sulky"
        assert "could not be read" in run.error["message"]


async def test_an_exception_with_half_a_character_is_stored() -> None:
    async def job(payload: Any, io: IO) -> None:
        raise ValueError("half \ud800 and \0 NUL and a lot" + "x" * 20_000)

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.send("job")).finished()

        assert run.error["message"].startswith("half \ufffd and \ufffd NUL")
        assert len(run.error["message"]) < 10_000


async def test_a_line_of_ten_megabytes_is_cut_and_says_so() -> None:
    async def job(payload: Any, io: IO) -> str:
        io.logger.info("x" * 10_000_000, {"also": "y" * 10_000_000, "object": object()})
        io.logger.info(Sulky())
        return "fine"

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.send("job")).finished()

        assert run.output == "fine"
        assert len(run.messages[0]) < 33_000
        assert run.messages[0].endswith("(cut, 9.5 MB)")
        assert "could not be read" in run.messages[1]


@pytest.mark.parametrize("error", [SystemExit(3), BaseException("bare")])
@pytest.mark.parametrize("where", ["job", "task"])
async def test_whatever_a_job_raises_ends_its_run_and_nothing_else(error: BaseException, where: str) -> None:
    async def bad() -> None:
        raise error

    async def job(payload: Any, io: IO) -> None:
        if where == "task":
            await io.run_task("bad", bad)
        await bad()

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.send("job")).finished()

        assert run.state == "failed"
        assert run.error["type"] == type(error).__name__


async def test_a_body_whose_own_await_was_cancelled_has_failed(reexecute: bool) -> None:
    """A library that cancels what the body waits for does not cancel the run."""
    tries: list[int] = []

    async def flaky() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise asyncio.CancelledError
        return "second try"

    async def job(payload: Any, io: IO) -> str:
        return await io.run_task("flaky", flaky, retry=Retry(max_attempts=2))

    async with TestPlatform(client_of(job), reexecute=reexecute) as platform:
        assert (await (await platform.send("job")).fast_forward()).output == "second try"


async def test_a_payload_that_does_not_fit_ends_its_run_with_the_places() -> None:
    async def job(payload: dict[str, int], io: IO) -> None: ...

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.send("job", {"a": "one"})).finished()

        assert run.state == "invalid_payload"
        assert run.error["issues"][0]["path"] == "$.a"


async def test_a_run_has_at_most_ten_thousand_tasks() -> None:
    async def job(payload: int, io: IO) -> int:
        for number in range(payload):
            await io.random(("number", number))
        return payload

    async with TestPlatform(client_of(job)) as platform:
        run = await (await platform.run(job, 10_001)).finished(timeout_seconds=30)

        assert run.state == "failed"
        assert "10,000 tasks" in run.error["message"]
        assert len(run.tasks) == 10_000


# --- code that changes while runs wait


def version(*steps: str) -> tuple[TriggerClient, list[str]]:
    """A job made of these tasks, with a wait of a day at `-`; and which bodies began."""
    begun: list[str] = []

    async def job(payload: Any, io: IO) -> dict[str, str]:
        results: dict[str, str] = {}
        for step in steps:
            if step == "-":
                await io.wait("a-day", days=1)
                continue

            def body(step: str = step) -> str:
                begun.append(step)
                return step.upper()

            results[step] = await io.run_task(step, body)
        return results

    return client_of(job), begun


@pytest.mark.parametrize(
    ("before", "after", "runs"),
    [
        ("a b -", "a b - c", "c"),
        ("a b - c", "a - c", "c"),
        ("a b - c", "new a b - c", "new c"),
        ("a b - c", "b a - c", "c"),
        ("a b - c", "c b a -", "c"),
        ("a b - c", "a renamed - c", "renamed c"),
        ("a - b", "a b", "b"),
    ],
)
async def test_tasks_are_found_by_key_when_code_changes_while_a_run_waits(
    before: str, after: str, runs: str
) -> None:
    old, begun_before = version(*before.split())
    new, begun_after = version(*after.split())

    async with TestPlatform(old) as platform:
        run = await (await platform.send("job")).until_waiting()
        await platform.serve(new)
        await run.fast_forward()

        assert run.output == {step: step.upper() for step in after.split() if step != "-"}
        assert begun_before == before.split(" - ", maxsplit=1)[0].removesuffix(" -").split()
        assert begun_after == runs.split()
