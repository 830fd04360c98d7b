"""Events sent together: one decision, all or none, duplicates among themselves told."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.stage import Stage, stage
from zopio_trigger.errors import NotFound
from zopio_trigger.model.commands import CompleteTask, SendEvent, SendEvents, TaskName
from zopio_trigger.transport.ports import EventRequest


@pytest.fixture
async def site() -> AsyncIterator[Stage]:
    async with stage() as made:
        await made.worker.serve(slots=1_000)
        yield made


def requests(*ids: str | None) -> list[EventRequest]:
    return [EventRequest(name="user.created", payload=str(n), id=id) for n, id in enumerate(ids)]


async def test_the_second_event_with_an_id_is_the_duplicate_of_the_first(site: Stage) -> None:
    first, other, second = await site.desk.send_events(requests("same", None, "same"))

    assert (first.is_duplicate, other.is_duplicate, second.is_duplicate) == (False, False, True)
    assert second.payload_differs
    assert second.created_at == first.created_at
    assert second.runs == ()


async def test_duplicates_of_stored_events_are_told_and_the_others_stored(site: Stage) -> None:
    await site.desk.send_events(requests("a", "b"))

    receipts = await site.desk.send_events(requests("b", "c", "a"))

    assert [receipt.is_duplicate for receipt in receipts] == [True, False, True]
    assert len((await site.reads.runs(site.env_no)).runs) == 3


async def test_one_refused_event_refuses_all(site: Stage) -> None:
    events = [*requests("a"), EventRequest(name="x", payload="{}", job="nope")]

    with pytest.raises(NotFound):
        await site.desk.send_events(events)

    with pytest.raises(NotFound):
        await site.reads.event(site.env_no, "a")


async def test_their_runs_are_leased_in_the_same_commit(site: Stage) -> None:
    """They are not left for the dispatcher because others of the same call stand before them."""
    commits = site.platform.committer.commits

    await site.desk.send_events(requests(*[None] * 100))

    assert len(site.worker.started) == 100
    assert site.platform.committer.commits == commits + 1


async def test_a_task_may_send_two_events_with_one_id_without_harm(site: Stage) -> None:
    run_id = await site.send()
    events = tuple(
        SendEvent(site.env_no, f"evt_{n}", "user.created", str(n), user_id="same") for n in range(2)
    )
    name = TaskName("hash", "task_1", None, "event", "send")

    done = await site.desk.submit(CompleteTask(run_id, 1, name, 1, 0, "null", events=events))

    assert done.state == "completed"
    assert (await site.reads.event(site.env_no, "same")).payload is not None
    assert len((await site.reads.runs(site.env_no)).runs) == 2


async def test_a_command_that_was_committed_may_be_submitted_again(site: Stage) -> None:
    command = SendEvents((SendEvent(site.env_no, "evt_1", "user.created", "{}", user_id="a"),))
    first = await site.desk.submit(command)

    assert await site.desk.submit(command) == first


@pytest.mark.parametrize("delay", [None, 60_000_000])
async def test_an_event_for_a_job_that_nobody_knows_is_refused_now_not_later(
    site: Stage, delay: int | None
) -> None:
    request = EventRequest(name="x", payload="{}", job="nope", deliver_after=delay)

    with pytest.raises(NotFound, match="no job 'nope' is known"):
        await site.desk.send_event(request)


async def test_large_calls_do_not_share_one_endless_transaction(site: Stage) -> None:
    commits = site.platform.committer.commits
    payload = f'"{"x" * 1_000_000}"'

    answers = [
        site.desk.submit(SendEvents((SendEvent(site.env_no, f"evt_{n}", "quiet", payload),)))
        for n in range(20)
    ]
    for answer in answers:
        await answer

    assert site.platform.committer.commits - commits == 3, "eight and a bit of a megabyte each"
