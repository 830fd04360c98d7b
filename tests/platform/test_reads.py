"""Reading: views of what is stored, for one environment."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from msgspec import UNSET

from tests.factories import a_job
from tests.stage import Stage, stage
from zopio_trigger.errors import InvalidInput, NotFound
from zopio_trigger.model.retry import Retry
from zopio_trigger.model.views import WaitingReason, value
from zopio_trigger.platform.reads import MAX_RUNS_A_PAGE

OTHER_ENVIRONMENT = 2


@pytest.fixture
async def site() -> AsyncIterator[Stage]:
    async with stage() as made:
        await made.worker.serve()
        yield made


@pytest.mark.parametrize(
    "ask",
    [
        lambda site, env_no, run_id: site.reads.run(env_no, run_id),
        lambda site, env_no, run_id: site.reads.logs(env_no, run_id),
        lambda site, env_no, run_id: site.reads.run_and_tasks(env_no, run_id),
        lambda site, env_no, run_id: site.reads.event(env_no, "e1"),
        lambda site, env_no, run_id: site.reads.runs(env_no, event_id="e1"),
    ],
    ids=["run", "logs", "run_and_tasks", "event", "runs of an event"],
)
async def test_what_is_missing_or_foreign_is_not_found(
    site: Stage, ask: Callable[[Stage, int, str], Awaitable[object]]
) -> None:
    with pytest.raises(NotFound):
        await ask(site, site.env_no, "run_nope")

    run_id = await site.send(id="e1")
    await ask(site, site.env_no, run_id)
    with pytest.raises(NotFound):
        await ask(site, OTHER_ENVIRONMENT, run_id)


async def test_an_absent_output_is_not_null(site: Stage) -> None:
    open_run, ended = await site.send(), await site.send()
    await site.worker.complete(ended, "null")

    assert (await site.reads.run(site.env_no, open_run)).output is UNSET
    assert bytes((await site.reads.run(site.env_no, ended)).output) == b"null"  # type: ignore[arg-type]


async def test_a_run_tells_what_it_took(site: Stage) -> None:
    run_id = await site.send()
    site.clock.advance(1.5)
    await site.worker.complete(run_id)

    run = await site.reads.run(site.env_no, run_id)

    assert run.duration_ms == pytest.approx(1_500, abs=0.1)
    assert run.executions == 1


async def test_an_event_lists_its_runs_oldest_first(site: Stage) -> None:
    await site.worker.serve(a_job(), a_job(id="report"))
    await site.send(id="e1")

    event = await site.reads.event(site.env_no, "e1")

    assert [run.job for run in event.runs] == ["send-email", "report"]
    assert event.context is UNSET


async def test_every_run_that_waits_says_why_in_a_list_too(site: Stage) -> None:
    await site.worker.serve(a_job(), a_job(id="limited", limit=1, trigger='{"type":"invoke"}'))
    sleeping, dreaming = await site.send(), await site.send()
    await site.worker.wait(sleeping, "nap", 60)
    await site.worker.wait(dreaming, "dream", 3_600)
    holder = await site.send(job="limited")
    queued = await site.send(job="limited")

    page = await site.reads.runs(site.env_no)
    reasons = {run.id: run.waiting_reason for run in page.runs}

    assert reasons.pop(holder) is None
    assert all(isinstance(reason, WaitingReason) for reason in reasons.values())
    told = {run_id: reason.text for run_id, reason in reasons.items() if reason is not None}
    assert told == {
        sleeping: "sleeping until 2026-01-01 00:01:00 UTC, in 1 m (task `nap`)",
        dreaming: "sleeping until 2026-01-01 01:00:00 UTC, in 1 h (task `dream`)",
        queued: f"waiting for a slot of queue `limited`: 1 of 1 held by {holder}",
    }


async def test_a_run_and_its_line_in_the_list_give_the_same_reason(site: Stage) -> None:
    run_id = await site.send()
    await site.worker.fail_task(run_id, "fetch", retry=Retry())

    alone = await site.reads.run(site.env_no, run_id)
    (listed,) = (await site.reads.runs(site.env_no)).runs

    assert alone.waiting_reason == listed.waiting_reason
    assert value(alone.tasks[0].error)["message"] == "refused"


async def test_a_job_whose_workers_left_says_how_to_start_one(site: Stage) -> None:
    await site.desk.leave("w1")
    run_id = await site.send()

    reason = (await site.reads.run(site.env_no, run_id)).waiting_reason

    assert reason is not None
    assert reason.kind == "no_worker"


@pytest.mark.parametrize("limit", [0, -1, MAX_RUNS_A_PAGE + 1])
async def test_a_page_has_1_to_200_runs(site: Stage, limit: int) -> None:
    with pytest.raises(InvalidInput, match="must be 1 to 200"):
        await site.reads.runs(site.env_no, limit=limit)


async def test_the_last_page_has_no_cursor_even_when_it_is_full(site: Stage) -> None:
    for _ in range(4):
        await site.send()

    first = await site.reads.runs(site.env_no, limit=2)
    last = await site.reads.runs(site.env_no, limit=2, cursor=first.next_cursor)

    assert len({run.id for run in (*first.runs, *last.runs)}) == 4
    assert last.next_cursor is None


async def test_several_statuses_are_merged_in_order(site: Stage) -> None:
    one, two, three = [await site.send() for _ in range(3)]
    await site.worker.complete(one)
    await site.worker.fail(three, "{}")

    page = await site.reads.runs(site.env_no, status=["failed", "completed", "failed"])

    assert [run.id for run in page.runs] == [three, one]
    assert two not in [run.id for run in page.runs]


async def test_the_runs_of_a_job_begin_at_the_cursor(site: Stage) -> None:
    ids = [await site.send() for _ in range(3)]

    rows = await site.reads.runs_of_job(site.env_no, "send-email", first=ids[1], limit=10)

    assert [run.id for run in rows] == [ids[1], ids[0]]


async def test_hooks_are_not_shown_as_jobs(site: Stage) -> None:
    hook = a_job(id="send-email/on-failure", internal=True, trigger='{"type":"invoke"}')
    await site.worker.serve(a_job(on_failure=True), hook)

    assert [job.id for job in site.reads.jobs(site.env_no)] == ["send-email"]
