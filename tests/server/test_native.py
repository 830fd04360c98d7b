"""The native API: what the command line and `HttpLink` use."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import a_job
from tests.stage import OTHER_KEY, Stage, Worker
from zopio_trigger.model.records import Schedule
from zopio_trigger.model.retry import Retry
from zopio_trigger.model.trigger import ScheduleTrigger, text_of

OTHER = {"authorization": f"Bearer {OTHER_KEY}"}


async def test_a_receipt_names_the_runs_and_their_jobs(site: Stage) -> None:
    receipt = await site.post("/api/v3/events", {"name": "user.created", "id": "e1", "payload": 1})

    assert receipt["id"] == "e1"
    assert receipt["jobs"] == ["send-email"]
    assert receipt["runs"] == list(site.worker.started)
    assert receipt["createdAt"] == "2026-01-01T00:00:00.000Z"
    assert (receipt["isDuplicate"], receipt["payloadDiffers"]) == (False, False)


@pytest.mark.parametrize(("payload", "differs"), [(1, False), (2, True)])
async def test_a_duplicate_says_whether_its_payload_differs(site: Stage, payload: int, differs: bool) -> None:
    await site.post("/api/v3/events", {"name": "user.created", "id": "e1", "payload": 1})

    receipt = await site.post("/api/v3/events", {"name": "user.created", "id": "e1", "payload": payload})

    assert (receipt["isDuplicate"], receipt["payloadDiffers"], receipt["runs"]) == (True, differs, [])


async def test_bulk_answers_receipts_in_order(site: Stage) -> None:
    events = [{"name": "user.created"}, {"name": "nobody.listens"}]

    receipts = (await site.post("/api/v3/events/bulk", {"events": events}))["receipts"]

    assert [(receipt["name"], len(receipt["runs"])) for receipt in receipts] == [
        ("user.created", 1),
        ("nobody.listens", 0),
    ]


async def test_an_event_may_go_to_one_job_alone(site: Stage) -> None:
    await site.worker.serve(a_job(), a_job(id="report", trigger='{"type":"invoke"}'))

    receipt = await site.post("/api/v3/events", {"name": "user.created", "job": "report", "isTest": True})

    assert receipt["jobs"] == ["report"]
    assert (await site.get(f"/api/v3/runs/{receipt['runs'][0]}"))["isTest"] is True


@pytest.mark.parametrize("after", [{}, {"deliverAfter": 60}])
async def test_an_event_for_an_unknown_job_is_refused_at_once(site: Stage, after: dict[str, int]) -> None:
    response = await site.http.post("/api/v3/events", json={"name": "x", "job": "nope", **after})

    assert response.status_code == 404
    assert "no job 'nope' is known" in response.json()["message"]


async def test_a_delay_may_have_fractions(site: Stage) -> None:
    receipt = await site.post("/api/v3/events", {"name": "x", "deliverAfter": 1.5})

    event = await site.get(f"/api/v3/events/{receipt['id']}")
    assert event["deliverAt"] == "2026-01-01T00:00:01.500Z"


async def test_cancelling_a_delivered_event_is_a_conflict(site: Stage) -> None:
    await site.send(id="e1")

    response = await site.http.post("/api/v3/events/e1/cancel")

    assert response.status_code == 409
    assert "was delivered already" in response.json()["error"]


async def test_a_run_shows_everything_about_it(site: Stage) -> None:
    run_id = await site.send(payload='{"a":1e2}', id="e1")
    await site.worker.complete_task(run_id, "fetch", '{"n":1}')
    site.clock.advance(1)
    await site.worker.fail_task(run_id, "charge", retry=Retry())

    response = await site.http.get(f"/api/v3/runs/{run_id}")
    run = response.json()

    assert b'"payload":{"a":1e2}' in response.content
    assert (run["status"], run["eventId"], run["eventName"]) == ("executing", "e1", "user.created")
    assert "output" not in run
    fetch, charge = run["tasks"]
    assert (fetch["state"], fetch["output"], fetch["attempts"]) == ("completed", {"n": 1}, [])
    assert (charge["state"], charge["attempt"]) == ("waiting", 2)
    assert [attempt["error"]["message"] for attempt in charge["attempts"]] == ["refused"]


async def test_lists_leave_payloads_outputs_and_tasks_out(site: Stage) -> None:
    run_id = await site.send(payload='"secret"')
    await site.worker.complete(run_id, '"secret"')

    response = await site.http.get("/api/v3/runs")

    assert b"secret" not in response.content
    assert response.json()["runs"][0]["tasks"] == []


@pytest.mark.parametrize("status", ["queued", "ready", "READY", "queued,failed", "Timed-Out,queued"])
async def test_statuses_are_asked_for_in_our_words_or_peoples(site: Stage, status: str) -> None:
    await site.worker.serve(slots=0)
    run_id = await site.send()

    page = await site.get("/api/v3/runs", status=status)

    assert [run["id"] for run in page["runs"]] == [run_id]
    assert page["runs"][0]["waitingReason"]["text"] == "all 0 slots of worker `w1` are taken"


async def test_an_unknown_status_is_refused_with_those_that_are_known(site: Stage) -> None:
    message = (await site.http.get("/api/v3/runs", params={"status": "faild"})).json()["message"]

    assert message.startswith("status 'faild' is unknown; did you mean 'failed'? the statuses are ready, ")
    assert "invalid_payload" in message
    assert "timed out" in message


async def test_runs_come_newest_first_and_in_pages(site: Stage) -> None:
    ids = [await site.send() for _ in range(5)]

    first = await site.get("/api/v3/runs", limit=3)
    second = await site.get("/api/v3/runs", limit=3, cursor=first["nextCursor"])

    assert [run["id"] for run in (*first["runs"], *second["runs"])] == ids[::-1]
    assert second["nextCursor"] is None


@pytest.mark.parametrize("since", ["30m", "2026-01-01T00:30:00Z", "1800"])
async def test_since_is_an_instant_or_how_long_ago(site: Stage, since: str) -> None:
    await site.send()
    site.clock.advance(3_600)
    run_id = await site.send()

    page = await site.get("/api/v3/runs", since=since)

    assert [run["id"] for run in page["runs"]] == [run_id]


async def test_runs_of_a_job_or_of_an_event(site: Stage) -> None:
    await site.worker.serve(a_job(), a_job(id="report"))
    await site.send(id="e1")
    await site.send(id="e2")

    by_job = await site.get("/api/v3/runs", job="report")
    by_event = await site.get("/api/v3/runs", eventId="e2")

    assert {run["job"] for run in by_job["runs"]} == {"report"}
    assert {run["eventId"] for run in by_event["runs"]} == {"e2"}
    assert (len(by_job["runs"]), len(by_event["runs"])) == (2, 2)


async def test_log_lines_are_read_on_after_a_cursor(site: Stage) -> None:
    run_id = await site.send()
    for number in (1, 2, 3):
        await site.worker.log(run_id, number, f"line {number}")

    first = (await site.get(f"/api/v3/runs/{run_id}/logs", limit=2))["lines"]
    rest = (await site.get(f"/api/v3/runs/{run_id}/logs", cursor=first[-1]["cursor"]))["lines"]

    assert [line["message"] for line in (*first, *rest)] == ["line 1", "line 2", "line 3"]


@pytest.mark.parametrize("cursor", ["x", "1", "1.x", "-1.2", "1.2.3", "\u0663.1", "9" * 30 + ".1"])
async def test_a_log_cursor_that_is_none_is_refused(site: Stage, cursor: str) -> None:
    run_id = await site.send()

    assert (await site.http.get(f"/api/v3/runs/{run_id}/logs", params={"cursor": cursor})).status_code == 422


async def test_cancel_takes_a_reason_or_no_body_at_all(site: Stage) -> None:
    one, two = await site.send(), await site.send()

    assert (await site.post(f"/api/v3/runs/{one}/cancel", {"reason": "typo"}))["status"] == "cancelled"
    assert (await site.http.post(f"/api/v3/runs/{two}/cancel")).json()["status"] == "cancelled"
    assert (await site.http.post(f"/api/v3/runs/{two}/cancel")).status_code == 409


async def test_an_overlong_reason_is_refused(site: Stage) -> None:
    run_id = await site.send()

    response = await site.http.post(f"/api/v3/runs/{run_id}/cancel", json={"reason": "x" * 1_001})

    assert (response.status_code, response.json()["path"]) == (422, "$.reason")


async def test_replay_makes_a_new_run_and_retry_continues_the_old_one(site: Stage) -> None:
    run_id = await site.send()
    early = await site.http.post(f"/api/v3/runs/{run_id}/replay")
    await site.worker.fail(run_id, '{"type":"E","message":"m"}')

    replayed = await site.post(f"/api/v3/runs/{run_id}/replay")
    retried = await site.post(f"/api/v3/runs/{run_id}/retry")

    assert early.status_code == 409
    assert replayed["replayOf"] == run_id
    assert retried["id"] == run_id
    assert retried["status"] in ("ready", "executing")


async def test_jobs_say_whether_a_worker_serves_them(site: Stage) -> None:
    other = Worker(site.platform, site.env_no, "w2")
    await other.serve(a_job(id="report", source="app.py:7"))
    await site.desk.leave("w2")

    jobs = {job["id"]: job for job in (await site.get("/api/v3/jobs"))["jobs"]}

    assert (jobs["send-email"]["isServed"], jobs["report"]["isServed"]) == (True, False)
    assert jobs["report"]["source"] == "app.py:7"
    assert jobs["send-email"]["trigger"]["names"] == ["user.created"]


async def test_schedules_say_when_they_fire_next(site: Stage) -> None:
    trigger = text_of(ScheduleTrigger(cron="0 9 * * 1", timezone="Europe/Istanbul"))
    schedule = Schedule(site.env_no, "weekly", 1, "report", trigger, "one", "allow", 0, 0, None, None, None)
    await site.worker.serve(a_job(id="report", trigger=trigger), schedules=[schedule])

    (shown,) = (await site.get("/api/v3/schedules", upcoming=2))["schedules"]

    assert (shown["text"], shown["timezone"], shown["cron"]) == (
        "At 09:00 on Monday",
        "Europe/Istanbul",
        "0 9 * * 1",
    )
    assert shown["nextAt"] == "2026-01-05T06:00:00.000Z"
    assert shown["upcoming"] == ["2026-01-05T06:00:00.000Z", "2026-01-12T06:00:00.000Z"]


@pytest.mark.parametrize("upcoming", [-1, 101])
async def test_more_than_a_hundred_planned_times_are_refused(site: Stage, upcoming: int) -> None:
    assert (await site.http.get("/api/v3/schedules", params={"upcoming": upcoming})).status_code == 422


async def test_nothing_crosses_environments(site: Stage) -> None:
    run_id = await site.send(id="e1")

    async def status(method: str, path: str) -> Any:
        return (await site.http.request(method, path, headers=OTHER)).status_code

    for method, path in (
        ("GET", f"/api/v3/runs/{run_id}"),
        ("GET", f"/api/v2/runs/{run_id}"),
        ("GET", f"/api/v3/runs/{run_id}/logs"),
        ("GET", f"/api/v3/runs/{run_id}/stream"),
        ("POST", f"/api/v3/runs/{run_id}/cancel"),
        ("POST", f"/api/v1/runs/{run_id}/cancel"),
        ("POST", f"/api/v3/runs/{run_id}/replay"),
        ("POST", f"/api/v3/runs/{run_id}/retry"),
        ("GET", "/api/v3/events/e1"),
        ("POST", "/api/v1/events/e1/cancel"),
        ("GET", "/api/v3/runs?eventId=e1"),
    ):
        assert await status(method, path) == 404, path
    assert (await site.http.get("/api/v3/runs", headers=OTHER)).json()["runs"] == []
    assert (await site.http.get("/api/v3/jobs", headers=OTHER)).json()["jobs"] == []
    assert (await site.get(f"/api/v3/runs/{run_id}"))["status"] == "executing"
