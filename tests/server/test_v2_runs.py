"""The 2.x API for runs, as `@trigger.dev/sdk` 2.3.19 uses it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.stage import Stage

NOW = "2026-01-01T00:00:00.000Z"


async def test_a_run_answers_with_its_tasks(site: Stage) -> None:
    run_id = await site.send()
    await site.worker.complete_task(run_id, "fetch")

    run = await site.get(f"/api/v2/runs/{run_id}")

    assert run == {
        "id": run_id,
        "status": "EXECUTING",
        "startedAt": NOW,
        "updatedAt": NOW,
        "completedAt": None,
        "statuses": [],
        "tasks": [
            {
                "id": "task_fetch",
                "displayKey": "fetch",
                "status": "COMPLETED",
                "name": "fetch",
                "icon": None,
                "startedAt": NOW,
                "completedAt": NOW,
            }
        ],
    }


@pytest.mark.parametrize(("version", "status"), [("v1", "STARTED"), ("v2", "EXECUTING")])
async def test_the_v1_path_knows_fewer_statuses(site: Stage, version: str, status: str) -> None:
    run_id = await site.send()

    assert (await site.get(f"/api/{version}/runs/{run_id}"))["status"] == status


async def test_a_completed_run_has_its_output(site: Stage) -> None:
    run_id = await site.send()
    await site.worker.complete(run_id, '{"n":1e2}')

    response = await site.http.get(f"/api/v2/runs/{run_id}")

    assert response.json()["status"] == "SUCCESS"
    assert b'"output":{"n":1e2}' in response.content


async def test_a_failed_run_has_its_error_as_javascript_knows_errors(site: Stage) -> None:
    run_id = await site.send()
    await site.worker.fail(
        run_id, '{"type":"ValueError","message":"no","traceback":"line 1","at":"app.py:1"}'
    )

    run = await site.get(f"/api/v2/runs/{run_id}")

    assert run["status"] == "FAILURE"
    assert run["output"] == {"message": "no", "name": "ValueError", "stack": "line 1"}


async def test_an_invalid_payload_lists_what_is_wrong(site: Stage) -> None:
    run_id = await site.send()
    issues = '[{"path":"$.user.tags[3]","message":"Expected str"}]'
    await site.worker.fail(
        run_id, f'{{"type":"InvalidPayload","message":"x","issues":{issues}}}', "invalid_payload"
    )

    run = await site.get(f"/api/v2/runs/{run_id}")

    assert run["status"] == "INVALID_PAYLOAD"
    assert run["output"] == [{"path": ["user", "tags", "3"], "message": "Expected str"}]


async def with_tasks(site: Stage, count: int) -> str:
    run_id = await site.send()
    for number in range(count):
        site.clock.advance(1)
        await site.worker.complete_task(run_id, f"t{number:02}", output=str(number))
    return run_id


async def test_tasks_come_in_pages_whose_cursor_is_the_next_first_task(site: Stage) -> None:
    run_id = await with_tasks(site, 25)

    first = await site.get(f"/api/v2/runs/{run_id}")
    second = await site.get(f"/api/v2/runs/{run_id}", cursor=first["nextCursor"], take=3)

    assert [task["name"] for task in first["tasks"]] == [f"t{number:02}" for number in range(20)]
    assert first["nextCursor"] == "task_t20"
    assert [task["name"] for task in second["tasks"]] == ["t20", "t21", "t22"]
    assert second["nextCursor"] == "task_t23"


@pytest.mark.parametrize(("take", "count"), [("0", 1), ("-5", 1), ("50", 50), ("999", 50)])
async def test_take_is_kept_between_1_and_50(site: Stage, take: str, count: int) -> None:
    run_id = await with_tasks(site, 51)

    assert len((await site.get(f"/api/v2/runs/{run_id}", take=take))["tasks"]) == count


@pytest.mark.parametrize(
    "query", [{"take": "many"}, {"take": "²"}, {"cursor": "task_nope"}, {"take": "9" * 5000}]
)
async def test_a_query_that_makes_no_sense_is_422(site: Stage, query: dict[str, str]) -> None:
    run_id = await site.send()

    response = await site.http.get(f"/api/v2/runs/{run_id}", params=query)

    assert response.status_code == 422, response.text


async def nested(site: Stage) -> str:
    run_id = await site.send()
    await site.worker.begin_task(run_id, "outer")
    site.clock.advance(1)
    await site.worker.complete_task(run_id, "inner", output="1e2", parent="outer")
    return run_id


async def test_without_subtasks_only_root_tasks_are_listed(site: Stage) -> None:
    run_id = await nested(site)

    for query in ({}, {"subtasks": "false"}, {"subtasks": "0"}):
        run = await site.get(f"/api/v2/runs/{run_id}", **query)
        assert [task["name"] for task in run["tasks"]] == ["outer"]
        assert "subtasks" not in run["tasks"][0]


async def test_subtasks_stand_inside_their_parents(site: Stage) -> None:
    run_id = await nested(site)

    (outer,) = (await site.get(f"/api/v2/runs/{run_id}", subtasks="true"))["tasks"]

    assert outer["status"] == "RUNNING"
    assert [(task["name"], task["subtasks"]) for task in outer["subtasks"]] == [("inner", [])]


async def test_a_subtask_whose_parent_is_on_another_page_stands_at_the_top(site: Stage) -> None:
    run_id = await nested(site)

    run = await site.get(f"/api/v2/runs/{run_id}", subtasks="true", take=1, cursor="task_inner")

    assert [task["name"] for task in run["tasks"]] == ["inner"]


async def test_task_details_show_outputs(site: Stage) -> None:
    run_id = await nested(site)

    plain = await site.get(f"/api/v2/runs/{run_id}", subtasks="true")
    detailed = await site.get(f"/api/v2/runs/{run_id}", subtasks="true", taskdetails="true")

    assert "output" not in plain["tasks"][0]["subtasks"][0]
    assert detailed["tasks"][0]["subtasks"][0]["output"] == 100.0


async def test_cancel_ends_the_run_and_its_tasks(site: Stage) -> None:
    run_id = await site.send()
    await site.worker.begin_task(run_id, "outer")

    run = await site.post(f"/api/v1/runs/{run_id}/cancel")

    assert (run["status"], run["completedAt"]) == ("CANCELED", NOW)
    assert [task["status"] for task in run["tasks"]] == ["CANCELED"]


async def test_cancelling_a_finished_run_answers_it_as_it_stands(site: Stage) -> None:
    run_id = await site.send()
    await site.worker.complete(run_id)

    assert (await site.post(f"/api/v1/runs/{run_id}/cancel"))["status"] == "SUCCESS"


@pytest.mark.parametrize("path", ["/api/v2/runs/run_x", "/api/v1/runs/run_x"])
async def test_an_unknown_run_is_404(site: Stage, path: str) -> None:
    response = await site.http.get(path)

    assert response.status_code == 404
    assert response.json() == {"error": "run run_x not found", "message": "run run_x not found"}


async def test_the_runs_of_a_job_come_newest_first_in_pages(site: Stage) -> None:
    ids = [await site.send() for _ in range(4)]

    first: Any = await site.get("/api/v1/jobs/send-email/runs", take=3)
    second = await site.get("/api/v1/jobs/send-email/runs", take=3, cursor=first["nextCursor"])

    assert [run["id"] for run in first["runs"]] == ids[:0:-1]
    assert first["nextCursor"] == ids[0]
    assert [run["id"] for run in second["runs"]] == [ids[0]]
    assert "nextCursor" not in second
    assert set(first["runs"][0]) == {"id", "status", "startedAt", "updatedAt", "completedAt"}


async def test_an_unknown_job_has_no_runs(site: Stage) -> None:
    assert await site.get("/api/v1/jobs/nope/runs") == {"runs": []}
