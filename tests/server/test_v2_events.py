"""The 2.x API for events, as `@trigger.dev/sdk` 2.3.19 uses it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import a_job
from tests.stage import Stage

NOW = "2026-01-01T00:00:00.000Z"


async def send(site: Stage, options: Any = None, **event: Any) -> Any:
    body = {"event": {"name": "user.created", **event}, "options": options or {}}
    return await site.post("/api/v1/events", body)


async def test_send_answers_the_event(site: Stage) -> None:
    answer = await send(site, payload={"userId": "user_123"})

    assert answer.pop("id").startswith("evt_")
    assert answer == {
        "name": "user.created",
        "payload": {"userId": "user_123"},
        "context": {},
        "timestamp": NOW,
        "deliverAt": NOW,
        "deliveredAt": NOW,
        "cancelledAt": None,
    }


async def test_send_starts_the_runs_of_the_jobs_that_listen(site: Stage) -> None:
    answer = await send(site, id="e1")

    event = await site.get("/api/v2/events/e1")
    assert answer["id"] == "e1"
    assert [run["status"] for run in event["runs"]] == ["EXECUTING"]
    assert len(site.worker.started) == 1


async def test_what_send_answers_is_what_is_stored(site: Stage) -> None:
    options = {"deliverAfter": 60, "accountId": "ada"}
    sent = await send(
        site, options, id="e1", payload=[1], context={"a": 1}, timestamp="2020-02-02T02:02:02.123Z"
    )

    again = await send(site, id="e1")  # a duplicate is answered from the store

    assert again == sent
    assert sent["timestamp"] == "2020-02-02T02:02:02.123Z"
    assert (sent["deliverAt"], sent["deliveredAt"]) == ("2026-01-01T00:01:00.000Z", None)


async def test_an_absent_payload_is_an_empty_object_and_null_stays_null(site: Stage) -> None:
    assert (await send(site))["payload"] == {}
    assert (await send(site, payload=None))["payload"] is None
    assert (await send(site, context=None))["context"] is None


@pytest.mark.parametrize(
    "payload",
    [b"1e2", b"1.0", b"-0", b"123456789012345678901234567890", b'{"a":1,"a":2}', b'"\\u0000"', b"[ 1,\t2 ]"],
)
async def test_a_payload_is_kept_token_for_token(site: Stage, payload: bytes) -> None:
    sent = await site.http.post("/api/v1/events", content=b'{"event":{"name":"x","payload":%s}}' % payload)
    read = await site.http.get(f"/api/v2/events/{sent.json()['id']}")

    assert b'"payload":' + payload + b"," in sent.content
    assert b'"payload":' + payload + b"," in read.content


async def test_characters_outside_ascii_come_back_as_they_were(site: Stage) -> None:
    text = "naïve 日本 😀"

    sent = await send(site, id=text, payload={text: text})

    assert sent["id"] == text
    assert sent["payload"] == {text: text}
    assert (await site.get(f"/api/v2/events/{text}"))["name"] == "user.created"


async def test_the_content_type_does_not_matter(site: Stage) -> None:
    response = await site.http.post(
        "/api/v1/events",
        content=b'{"event":{"name":"x"}}',
        headers={"content-type": "text/plain;charset=UTF-8"},
    )

    assert response.status_code == 200


async def test_the_first_event_with_an_id_stands(site: Stage) -> None:
    first = await send(site, id="e1", payload={"n": 1})
    again = await send(site, id="e1", payload={"n": 2})

    assert again == first
    assert len((await site.get("/api/v2/events/e1"))["runs"]) == 1


async def test_deliver_at_wins_over_deliver_after(site: Stage) -> None:
    sent = await send(site, {"deliverAt": "2026-01-01T01:00:00+00:00", "deliverAfter": 5})

    assert (sent["deliverAt"], sent["deliveredAt"]) == ("2026-01-01T01:00:00.000Z", None)


@pytest.mark.parametrize("options", [{"deliverAt": "2020-01-01T00:00:00Z"}, {"deliverAfter": -60}])
async def test_a_delivery_in_the_past_is_now(site: Stage, options: dict[str, Any]) -> None:
    assert (await send(site, options))["deliveredAt"] == NOW


async def test_bulk_answers_the_events_in_their_order(site: Stage) -> None:
    events = [{"name": f"n{number}", "payload": number} for number in range(5)]

    answers = await site.post("/api/v1/events/bulk", {"events": events})

    assert [(answer["name"], answer["payload"]) for answer in answers] == [(f"n{n}", n) for n in range(5)]


async def test_bulk_stores_all_or_none(site: Stage) -> None:
    events = [{"name": "user.created", "id": "good"}, {"name": ""}]

    response = await site.http.post("/api/v1/events/bulk", json={"events": events})

    assert response.status_code == 422
    assert response.json()["path"] == "$.events[1].name"
    assert (await site.http.get("/api/v2/events/good")).status_code == 404


async def test_bulk_is_one_commit(site: Stage) -> None:
    commits = site.platform.committer.commits

    await site.post("/api/v1/events/bulk", {"events": [{"name": "nobody.listens"}] * 1_000})

    assert site.platform.committer.commits == commits + 1


async def test_bulk_tells_duplicates_among_its_events_and_from_before(site: Stage) -> None:
    await send(site, id="old", payload="first")
    events = [{"name": "user.created", "id": id, "payload": n} for n, id in enumerate(("new", "old", "new"))]

    answers = await site.post("/api/v1/events/bulk", {"events": events})

    assert [answer["payload"] for answer in answers] == [0, "first", 0]
    assert len(await runs_of(site)) == 2


async def runs_of(site: Stage) -> list[Any]:
    page = await site.get("/api/v3/runs")
    found: list[Any] = page["runs"]
    return found


async def test_more_than_a_thousand_events_are_too_many(site: Stage) -> None:
    response = await site.http.post("/api/v1/events/bulk", json={"events": [{"name": "x"}] * 1_001})

    assert response.status_code == 413
    assert "1,001 events in one call, and 1,000 are allowed" in response.json()["message"]


async def test_an_empty_bulk_is_answered_with_nothing(site: Stage) -> None:
    assert await site.post("/api/v1/events/bulk", {"events": []}) == []


async def test_an_event_shows_its_runs_in_the_words_of_both_generations(site: Stage) -> None:
    run_id = await site.send(id="e1")

    now, before = await site.get("/api/v2/events/e1"), await site.get("/api/v1/events/e1")

    assert now["runs"][0]["id"] == run_id
    assert (now["runs"][0]["status"], before["runs"][0]["status"]) == ("EXECUTING", "STARTED")
    assert (now["createdAt"], now["updatedAt"]) == (NOW, NOW)


async def test_an_event_is_found_by_our_id_too(site: Stage) -> None:
    run_id = await site.send()

    event = await site.get(f"/api/v2/events/evt{run_id.removeprefix('run')}")

    assert event["runs"][0]["id"] == run_id


async def test_an_id_with_a_slash_is_one_segment(site: Stage) -> None:
    await send(site, id="a/b c%")

    assert (await site.get("/api/v2/events/a%2Fb%20c%25"))["id"] == "a/b c%"


async def test_an_unknown_event_is_404_with_error_and_message(site: Stage) -> None:
    response = await site.http.get("/api/v2/events/nope")

    assert response.status_code == 404
    assert response.json() == {"error": "event nope not found", "message": "event nope not found"}


async def test_a_delayed_event_can_be_cancelled_and_cancelled_again(site: Stage) -> None:
    await send(site, {"deliverAfter": 60}, id="e1")

    first = await site.post("/api/v1/events/e1/cancel")
    site.clock.advance(1)
    second = await site.post("/api/v1/events/e1/cancel")

    assert first["cancelledAt"] == NOW
    assert second == first


async def test_cancelling_a_delivered_event_answers_it_as_it_stands(site: Stage) -> None:
    await send(site, id="e1")

    answer = await site.post("/api/v1/events/e1/cancel")

    assert (answer["deliveredAt"], answer["cancelledAt"]) == (NOW, None)


async def test_cancel_runs_ends_those_that_have_not_ended(site: Stage) -> None:
    await site.worker.serve(a_job(), a_job(id="report"), a_job(id="sleepy"))
    await send(site, id="e1")
    ended, executing, sleeping = site.worker.started
    await site.worker.complete(ended)
    await site.worker.wait(sleeping, "nap", 60)

    answer = await site.post("/api/v1/events/e1/cancel-runs")

    assert set(answer["cancelledRunIds"]) == {executing, sleeping}
    assert answer["failedToCancelRunIds"] == []
    statuses = {run["id"]: run["status"] for run in (await site.get("/api/v2/events/e1"))["runs"]}
    assert statuses == {ended: "SUCCESS", executing: "CANCELED", sleeping: "CANCELED"}
    assert (await site.http.post("/api/v1/events/nope/cancel-runs")).status_code == 404


async def test_pages_of_any_origin_may_read_events(site: Stage) -> None:
    await send(site, id="e1")

    preflight = await site.http.options("/api/v2/events/e1", headers={"authorization": ""})
    answer = await site.http.get("/api/v2/events/e1")

    assert preflight.status_code == 200
    for response in (preflight, answer):
        assert response.headers["access-control-allow-origin"] == "*"
    assert "GET" in preflight.headers["access-control-allow-methods"]
    assert "authorization" in preflight.headers["access-control-allow-headers"]


async def test_an_event_may_be_called_like_a_word_of_ours(site: Stage) -> None:
    await send(site, {"deliverAfter": 60}, id="bulk")

    assert (await site.get("/api/v1/events/bulk"))["id"] == "bulk"
    assert (await site.get("/api/v3/events/bulk"))["id"] == "bulk"
    assert (await site.post("/api/v1/events/bulk/cancel"))["id"] == "bulk"
    assert (await site.http.put("/api/v1/events/bulk")).status_code == 405
