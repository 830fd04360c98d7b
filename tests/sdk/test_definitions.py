"""What is wrong with a job or a call is said when it is written, not when it runs."""

from __future__ import annotations

from typing import Any, cast

import pytest

from zopio_trigger import IO, Retry, SyncIO, TriggerClient
from zopio_trigger.errors import ConfigurationError, InvalidInput, TooLarge
from zopio_trigger.testing import TestPlatform


@pytest.fixture
def client() -> TriggerClient:
    return TriggerClient("definitions")


async def a_job(payload: Any, io: IO) -> None: ...


def a_sync_job(payload: Any, io: SyncIO) -> None: ...


async def test_a_trigger_that_is_no_trigger_is_refused_with_the_ones_there_are(client: TriggerClient) -> None:
    with pytest.raises(ConfigurationError, match=r"'user\.created'.*client\.triggers\.event"):
        client.define_job(run=a_job, trigger="user.created")  # type: ignore[arg-type]


def test_one_id_for_two_functions_is_refused_naming_both_places(client: TriggerClient) -> None:
    client.define_job(run=a_job, id="one", trigger=client.triggers.invoke())

    with pytest.raises(ConfigurationError, match=r"'one' is defined twice: at .*\.py:\d+ and at .*\.py:\d+"):
        client.define_job(run=a_sync_job, id="one", trigger=client.triggers.invoke())


def test_the_io_of_the_other_colour_is_refused(client: TriggerClient) -> None:
    async def confused(payload: Any, io: SyncIO) -> None: ...

    with pytest.raises(ConfigurationError, match="its io is IO, not SyncIO"):
        client.define_job(run=confused, trigger=client.triggers.invoke())


@pytest.mark.parametrize("concurrency", [0, -1, True, 1.5, "5", 10**9])
def test_absurd_concurrency_is_refused(client: TriggerClient, concurrency: Any) -> None:
    with pytest.raises(ConfigurationError, match="give a whole number from 1"):
        client.define_job(run=a_job, trigger=client.triggers.invoke(), concurrency=concurrency)


def test_overlap_queue_refuses_a_concurrency_that_contradicts_it(client: TriggerClient) -> None:
    trigger = client.triggers.interval(60, overlap="queue")

    with pytest.raises(ConfigurationError, match="one run at a time"):
        client.define_job(run=a_job, trigger=trigger, concurrency=2)


async def test_a_coroutine_in_place_of_a_function_is_refused_with_the_fix(client: TriggerClient) -> None:
    async def body(number: int) -> int:
        return number

    @client.job(id="called-too-early", trigger=client.triggers.invoke())
    async def job(payload: Any, io: IO) -> None:
        await io.run_task("x", cast(Any, body(1)))  # the mistake

    async with TestPlatform(client) as platform:
        run = await platform.run("called-too-early", None)
        await run.finished()

    assert run.state == "failed"
    assert "give it the function and its arguments" in str(run.error)


async def test_at_most_once_and_retry_contradict_each_other(client: TriggerClient) -> None:
    async def body() -> None: ...

    @client.job(id="contradiction", trigger=client.triggers.invoke())
    async def job(payload: Any, io: IO) -> None:
        with pytest.raises(InvalidInput, match="leave one of them out"):
            await io.run_task("x", body, durable_begin=True, retry=Retry())

    async with TestPlatform(client) as platform:
        run = await platform.run("contradiction", None)
        await run.finished()

    assert run.state == "completed"


async def test_a_job_can_be_invoked_by_its_id(client: TriggerClient) -> None:
    @client.job(id="on-demand", trigger=client.triggers.invoke())
    async def job(payload: dict[str, int], io: IO) -> int:
        return payload["n"] + 1

    async with TestPlatform(client) as platform:
        receipt = await client.invoke("on-demand", {"n": 1}, id="once")
        again = await client.invoke("on-demand", {"n": 1}, id="once")
        await platform.settle()
        run = await client.get_run(receipt.runs[0])

    assert (run.status, bytes(run.output)) == ("completed", b"2")  # type: ignore[arg-type]
    assert again.is_duplicate


async def test_several_events_may_have_ids_and_are_limited(client: TriggerClient) -> None:
    async with TestPlatform(client):
        first, second = await client.send_events([("a", 1), {"name": "b", "payload": 2, "id": "mine"}])
        with pytest.raises(TooLarge, match="at most 1,000"):
            await client.send_events([("a", 1)] * 1_001)

    assert (first.name, second.id) == ("a", "mine")
