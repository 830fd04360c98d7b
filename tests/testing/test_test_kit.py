"""The test kit: what it promises to those who test their jobs with it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from zopio_trigger import IO, Retry, TriggerClient
from zopio_trigger.errors import InvalidPayload
from zopio_trigger.testing import BlockingPlatform, TestPlatform, at_every_commit

client = TriggerClient("shop")


@client.job(id="remind", trigger=client.triggers.event("user.registered"))
async def remind(payload: Any, io: IO) -> dict[str, bool]:
    io.logger.info("begins", user=payload)
    await io.run_task("welcome", lambda: (1, 2))
    await io.wait("before-reminder", days=30)
    await io.run_task("remind", lambda: None)
    return {"reminded": True}


@client.job(id="charge", trigger=client.triggers.event("order.placed"))
async def charge(payload: Any, io: IO) -> str:
    await io.run_task("prepare", lambda: None)
    return await io.run_task("charge", lambda: "paid")


@client.job(id="also-charge", trigger=client.triggers.event("order.doubled"))
@client.job(id="charge-twice", trigger=client.triggers.event("order.doubled"))
async def charge_twice(payload: Any, io: IO) -> str:
    return "paid"


@pytest.fixture
def trigger_client() -> TriggerClient:
    return client


# --- time


async def test_thirty_days_take_less_than_a_tenth_of_a_second() -> None:
    begun = time.perf_counter()
    async with TestPlatform(client) as platform:
        run = await platform.send("user.registered", "ada")
        await platform.advance(days=30)
        assert run.output == {"reminded": True}

    assert time.perf_counter() - begun < 0.1


async def test_everything_due_on_the_way_happens_at_its_time(trigger: TestPlatform) -> None:
    woke: list[float] = []
    chain = TriggerClient("chain")

    @chain.job(trigger=chain.triggers.invoke())
    async def steps(payload: Any, io: IO) -> None:
        for number in range(24):
            await io.wait(("hour", number), hours=1)
            woke.append(round(trigger.clock.now() / 3_600_000_000) % 24)

    await trigger.settle()
    await trigger.serve(chain)
    run = await trigger.run(steps)
    await trigger.advance(hours=12)
    assert woke == list(range(1, 13))
    await trigger.advance(hours=12)

    assert run.state == "completed"
    assert woke == [*range(1, 24), 0]


async def test_fast_forward_goes_to_the_end_however_far_it_is(trigger: TestPlatform) -> None:
    before = trigger.clock.now()

    run = await (await trigger.send("user.registered", "ada")).fast_forward()

    assert run.output == {"reminded": True}
    assert (trigger.clock.now() - before) // 86_400_000_000 == 30


# --- what a test sees


async def test_a_run_shows_its_tasks_lines_and_output(trigger: TestPlatform) -> None:
    run = await (await trigger.send("user.registered", "ada")).until_waiting()

    assert (run.state, run.output, run.executions) == ("suspended", None, 1)
    assert run.task("welcome").output == [1, 2]
    assert run.task("before-reminder").state == "waiting"
    assert run.messages == ["begins"]
    assert run.logs[0].data == {"user": "ada"}
    assert "sleeping" in await run.waiting_for()
    with pytest.raises(AssertionError, match="no task 'nothing'; it has 'welcome', 'before-reminder'"):
        run.task("nothing")


async def test_waiting_for_the_end_of_a_run_that_sleeps_says_why_it_does_not_come(
    trigger: TestPlatform,
) -> None:
    run = await trigger.send("user.registered", "ada")

    with pytest.raises(AssertionError, match="has not ended: it is sleeping until 2026-01-31"):
        await run.finished()


async def test_waiting_for_a_run_that_has_ended_to_wait_says_so(trigger: TestPlatform) -> None:
    run = await trigger.send("order.placed")

    with pytest.raises(AssertionError, match="completed> does not wait for anything"):
        await run.until_waiting()


async def test_sending_what_starts_no_run_or_several_says_so(trigger: TestPlatform) -> None:
    with pytest.raises(AssertionError, match=r"it started none.*user\.registered"):
        await trigger.send("user.registred")
    with pytest.raises(AssertionError, match="it started charge-twice, also-charge"):
        await trigger.send("order.doubled")

    runs = await trigger.send_to_all("order.doubled")
    assert [(await run.finished()).output for run in runs] == ["paid", "paid"]


async def test_one_job_is_run_by_its_id_or_its_function(trigger: TestPlatform) -> None:
    by_id = await trigger.run("charge")
    by_function = await trigger.run(charge, {"n": 1})

    assert [(await run.finished()).output for run in (by_id, by_function)] == ["paid", "paid"]
    with pytest.raises(AssertionError, match="not the function of a job"):
        await trigger.run(lambda: None)


async def test_what_the_client_sends_reaches_the_platform(trigger: TestPlatform) -> None:
    await trigger.ready()
    await client.send_event("order.placed", {"n": 1})

    assert [run.state for run in await trigger.runs(charge)] == ["completed"]
    assert [event.name for event in await trigger.events()] == ["order.placed"]


async def test_several_events_are_sent_in_one_transaction(trigger: TestPlatform) -> None:
    await trigger.ready()
    before = trigger.commits

    runs = await trigger.send_many([("order.placed", number) for number in range(3)])

    await trigger.settle()
    assert len(runs) == 3
    assert trigger.commits - before < len(runs) * 3  # of which one alone would have taken four


async def test_the_same_test_does_the_same_each_time() -> None:
    ids = []
    for _ in range(2):
        async with TestPlatform(client) as platform:
            ids.append((await platform.send("order.placed")).id)

    assert ids[0] == ids[1]


# --- deaths


@pytest.mark.parametrize(("moment", "times"), [("before", 2), ("after", 1)])
async def test_a_process_dies_at_the_commit_of_a_task_and_another_takes_over(moment: str, times: int) -> None:
    bodies: list[str] = []
    shop = TriggerClient("shop")

    def charge() -> str:
        bodies.append("charge")
        return "paid"

    @shop.job(trigger=shop.triggers.invoke())
    async def pay(payload: Any, io: IO) -> str:
        return await io.run_task("charge", charge)

    async with TestPlatform(shop) as platform:
        getattr(platform, f"crash_{moment}")("charge")
        run = await (await platform.run(pay)).finished()

        assert (run.output, run.executions, platform.crashes) == ("paid", 2, 1)
        assert len(bodies) == times


async def test_a_scenario_is_run_once_for_each_side_of_each_commit() -> None:
    deaths: list[int] = []

    async def scenario(platform: TestPlatform) -> None:
        run = await platform.send("order.placed")
        assert (await run.finished()).output == "paid"
        deaths.append(platform.crashes)

    times = await at_every_commit(scenario, client)

    assert times == len(deaths) == 1 + 2 * 4  # the event, two tasks, the end
    assert deaths == [0] + [1] * (times - 1)


async def test_a_scenario_that_fails_says_where_the_process_died() -> None:
    async def scenario(platform: TestPlatform) -> None:
        run = await platform.send("order.placed")
        await run.finished()
        assert run.executions == 1

    with pytest.raises(AssertionError) as caught:
        await at_every_commit(scenario, client)

    assert caught.value.__notes__ == ["The process died after commit 1 of the scenario."]


async def test_waiting_runs_wake_up_in_the_code_that_is_served(trigger: TestPlatform) -> None:
    run = await (await trigger.send("user.registered", "ada")).until_waiting()
    new = TriggerClient("new")

    @new.job(id="remind", version="2.0.0", trigger=new.triggers.event("user.registered"))
    async def remind_no_more(payload: Any, io: IO) -> str:
        await io.run_task("welcome", lambda: None)
        await io.wait("before-reminder", days=30)
        return "no longer"

    await trigger.serve(new)

    assert (await run.fast_forward()).output == "no longer"


# --- the parts of it


async def test_a_run_that_fails_can_be_retried_and_replayed(trigger: TestPlatform) -> None:
    fixed: list[bool] = []
    shop = TriggerClient("shop")

    @shop.job(trigger=shop.triggers.invoke())
    async def fragile(payload: Any, io: IO) -> str:
        def body() -> str:
            if not fixed:
                raise InvalidPayload((("$", "broken"),))
            return "mended"

        return await io.run_task("fragile", body, retry=Retry(max_attempts=1))

    await trigger.ready()
    await trigger.serve(shop)
    run = await (await trigger.run(fragile)).finished()
    assert (run.state, run.error["type"]) == ("failed", "InvalidPayload")
    fixed.append(True)
    await run.retry()
    again = await run.replay()

    assert (await run.finished()).output == (await again.finished()).output == "mended"


def test_the_fixture_may_be_used_in_a_loop_of_ones_own(trigger: TestPlatform) -> None:
    async def use() -> str:
        run = await trigger.send("user.registered", "ada")
        await trigger.settle()
        return run.state

    assert asyncio.run(use()) == "suspended"


async def test_a_platform_that_was_never_used_closes() -> None:
    platform = TestPlatform(client)

    await platform.close()


async def test_code_that_waits_for_something_real_is_given_time(trigger: TestPlatform) -> None:
    shop = TriggerClient("shop")

    @shop.job(trigger=shop.triggers.invoke())
    async def slow(payload: Any, io: IO) -> str:
        await io.run_task("thread", time.sleep, 0.02)
        await io.run_task("loop", asyncio.sleep, 0.02)
        return "done"

    await trigger.ready()
    await trigger.serve(shop)
    run = await trigger.run(slow)
    await trigger.settle()

    assert run.output == "done"


def test_a_blocking_platform_does_all_of_it_in_plain_functions(trigger_sync: BlockingPlatform) -> None:
    run = trigger_sync.send("user.registered", "ada")
    assert run.state == "suspended"
    trigger_sync.crash()
    trigger_sync.advance(days=30)
    assert (run.state, run.executions, trigger_sync.crashes) == ("completed", 2, 1)
    again = run.replay()
    assert again.until_waiting().waiting_for().startswith("sleeping")
    assert again.cancel("enough").state == "cancelled"
    trigger_sync.restart()
    assert again.retry().fast_forward().finished().output == {"reminded": True}
    assert [seen.id for seen in trigger_sync.runs(remind)] == [run.id, again.id]
    assert trigger_sync.run(charge).output == "paid"
    assert [run.output for run in trigger_sync.send_to_all("order.doubled")] == ["paid", "paid"]


def test_a_blocking_platform_dies_where_it_is_told(trigger_sync: BlockingPlatform) -> None:
    trigger_sync.crash_before("prepare")
    trigger_sync.crash_after("charge")
    trigger_sync.crash_at_commit(1, "after")

    run = trigger_sync.send("order.placed").finished()

    assert (run.output, trigger_sync.crashes, run.executions) == ("paid", 3, 4)
