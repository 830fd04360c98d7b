"""Following runs as they happen, over server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.factories import a_job
from tests.server.listening import listening
from tests.stage import OTHER_KEY, Stage
from zopio_trigger.model.retry import Retry
from zopio_trigger.server import streams


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something is so."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


def followers(site: Stage) -> int:
    return len(site.app.state.streams)


async def test_a_follower_of_all_hears_runs_tasks_and_lines(site: Stage) -> None:
    async with listening(site, "/api/v3/follow") as listener:
        await until(lambda: followers(site) == 1)
        run_id = await site.send()
        await site.worker.complete_task(run_id, "fetch", '"big output"', logs=["hello"])
        await site.worker.complete(run_id)

        started, task, line, ended = [await listener.next() for _ in range(4)]

    assert listener.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (started.kind, started.data["id"], started.data["status"]) == ("run", run_id, "executing")
    assert (task.kind, task.data["runId"], task.data["task"]["state"]) == ("task", run_id, "completed")
    assert "output" not in task.data["task"]
    assert (line.kind, line.data["line"]["message"], line.id) == ("log", "hello", "1.1")
    assert (ended.kind, ended.data["status"]) == ("run", "completed")


async def test_a_run_that_cannot_start_is_heard_of_with_the_reason(site: Stage) -> None:
    await site.worker.serve(slots=0)
    async with listening(site, "/api/v3/follow") as listener:
        await until(lambda: followers(site) == 1)
        await site.send()

        heard = await listener.next()

    assert heard.data["status"] == "ready"
    assert heard.data["waitingReason"]["kind"] == "worker_busy"


async def test_a_suspended_run_says_until_when(site: Stage) -> None:
    run_id = await site.send()
    async with listening(site, "/api/v3/follow") as listener:
        await until(lambda: followers(site) == 1)
        await site.worker.wait(run_id, "nap", 60)

        heard = await listener.next("run")

    assert heard.data["waitingReason"]["text"].startswith("sleeping until 2026-01-01 00:01:00 UTC")


async def test_a_line_of_a_run_that_began_before_is_heard(site: Stage) -> None:
    run_id = await site.send()
    async with listening(site, "/api/v3/follow") as listener:
        await until(lambda: followers(site) == 1)
        await site.worker.log(run_id, 1, "still here")

        assert (await listener.next()).data["runId"] == run_id


async def test_followers_hear_nothing_of_other_environments(site: Stage) -> None:
    async with listening(site, "/api/v3/follow", authorization=f"Bearer {OTHER_KEY}") as listener:
        await until(lambda: followers(site) == 1)
        run_id = await site.send()
        await site.worker.complete_task(run_id, "fetch", logs=["secret"])
        await site.worker.complete(run_id)
        for _ in range(10):
            await asyncio.sleep(0)

        assert listener._heard.empty()


async def test_a_follower_may_want_one_job_only(site: Stage) -> None:
    await site.worker.serve(a_job(), a_job(id="report"))
    async with listening(site, "/api/v3/follow?job=report") as listener:
        await until(lambda: followers(site) == 1)
        await site.send()
        for run_id in site.worker.started:
            await site.worker.log(run_id, 1, "x")

        run, line = await listener.next(), await listener.next()
        for _ in range(10):
            await asyncio.sleep(0)

        assert (run.data["job"], line.data["runId"]) == ("report", run.data["id"])
        assert listener._heard.empty()


async def test_one_run_is_told_as_it_stands_then_as_it_changes_until_it_ends(site: Stage) -> None:
    run_id = await site.send(payload="[1]")
    await site.worker.complete_task(run_id, "first", logs=["before"])

    async with listening(site, f"/api/v3/runs/{run_id}/stream") as listener:
        stands = await listener.next()
        assert (stands.kind, stands.data["payload"]) == ("run", [1])
        assert [task["key"] for task in stands.data["tasks"]] == ["first"]
        assert (await listener.next()).data["line"]["message"] == "before"

        await site.worker.fail_task(run_id, "second", retry=Retry())
        assert (await listener.next()).data["task"]["state"] == "waiting"
        await site.worker.log(run_id, 2, "after")
        assert (await listener.next()).data["line"]["message"] == "after"
        await site.worker.complete(run_id, '"the output"')

        assert (await listener.next()).data["status"] == "completed"
        whole = await listener.next()
        assert (whole.kind, whole.data["output"]) == ("run", "the output")
        assert (await listener.next()).kind == "end"
        await until(lambda: listener.is_over)

    assert followers(site) == 0


async def test_a_finished_run_is_told_and_that_is_all(site: Stage) -> None:
    run_id = await site.send()
    await site.worker.complete_task(run_id, "only", logs=["one"])
    await site.worker.complete(run_id)

    async with listening(site, f"/api/v3/runs/{run_id}/stream") as listener:
        assert [(await listener.next()).kind for _ in range(3)] == ["run", "log", "end"]


@pytest.mark.parametrize("resume", ["header", "query"])
async def test_a_client_that_comes_back_reads_on_after_its_last_line(site: Stage, resume: str) -> None:
    run_id = await site.send()
    for number in (1, 2, 3):
        await site.worker.log(run_id, number, f"line {number}")
    await site.worker.complete(run_id)
    query = "?cursor=1.2" if resume == "query" else ""
    headers = {"last-event-id": "1.2"} if resume == "header" else {}

    async with listening(site, f"/api/v3/runs/{run_id}/stream{query}", **headers) as listener:
        await listener.next("run")
        assert (await listener.next()).data["line"]["message"] == "line 3"


async def test_an_unknown_run_is_404_before_the_stream_begins(site: Stage) -> None:
    assert (await site.http.get("/api/v3/runs/run_nope/stream")).status_code == 404
    assert (
        await site.http.get("/api/v3/runs/run_nope/stream", headers={"last-event-id": "x"})
    ).status_code == 404


async def test_a_bad_cursor_is_refused_before_the_stream_begins(site: Stage) -> None:
    run_id = await site.send()

    response = await site.http.get(f"/api/v3/runs/{run_id}/stream", headers={"last-event-id": "x"})

    assert response.status_code == 422


async def test_silence_is_filled_with_a_heartbeat_every_15_seconds(site: Stage) -> None:
    async with listening(site, "/api/v3/follow") as listener:
        await until(lambda: followers(site) == 1 and site.clock.next_due() is not None)
        for beat in (1, 2):
            site.clock.advance(15)
            await until(lambda beat=beat: listener.comments == beat)  # type: ignore[misc]
            await until(lambda: site.clock.next_due() is not None)


async def test_a_client_that_does_not_read_loses_news_and_is_told_so(
    site: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MAX_UNREAD", 10)
    async with listening(site, "/api/v3/follow") as listener:
        await until(lambda: followers(site) == 1)
        listener.may_read.clear()
        for _ in range(40):
            await site.send()
        (follower,) = site.app.state.streams._open
        assert len(follower._unread) <= 10, "what is not read does not pile up"
        listener.may_read.set()

        lost = await listener.next("resync")
        assert lost.data["dropped"] > 0
        assert (await listener.next("run")).data["status"] == "ready"


async def test_a_follower_of_one_run_that_lags_is_told_the_run_anew(
    site: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MAX_UNREAD", 5)
    run_id = await site.send()
    async with listening(site, f"/api/v3/runs/{run_id}/stream") as listener:
        await listener.next("run")
        listener.may_read.clear()
        for number in range(1, 31):
            await site.worker.log(run_id, number, f"line {number}")
        await site.worker.complete(run_id)
        listener.may_read.set()

        await listener.next("resync")
        assert (await listener.next("run")).data["status"] == "completed"
        assert (await listener.next("end")).data == {}


async def test_a_client_that_goes_away_is_forgotten(site: Stage) -> None:
    async with listening(site, "/api/v3/follow") as listener:
        await until(lambda: followers(site) == 1)
        listener.leave()
        await until(lambda: listener.is_over)

    assert followers(site) == 0
    assert not site.platform._followers


async def test_streams_end_when_the_server_stops(site: Stage) -> None:
    run_id = await site.send()
    async with (
        listening(site, "/api/v3/follow") as every,
        listening(site, f"/api/v3/runs/{run_id}/stream") as one,
    ):
        await one.next("run")
        await until(lambda: followers(site) == 2)
        site.app.state.streams.close()
        await until(lambda: every.is_over and one.is_over)

    async with listening(site, "/api/v3/follow") as late:
        await until(lambda: late.is_over)


async def test_a_stream_has_no_head(site: Stage) -> None:
    response = await site.http.head("/api/v3/follow")

    assert response.status_code == 405
