"""`zopio-trigger runs`, `jobs` and `schedules`."""

from __future__ import annotations

import json
import re

import pytest

from tests.cli.conftest import Zt, ended_run, sent_run, sleeping_run
from tests.cli.processes import Dev, on_terminal, run_ids, without_colours

# --- looking


def test_piped_runs_have_tabs_whole_ids_and_exact_times(zt: Zt) -> None:
    run = ended_run(zt)

    newest = zt("runs", "list", "--limit", "1").stdout.rstrip("\n").split("\t")

    expected = ["completed", run["id"], "greet", "hello.said", run["startedAt"], f"{run['durationMs']:g}"]
    assert newest == expected


def test_a_scheduled_run_is_shown_by_its_schedule_and_filters_choose(zt: Zt) -> None:
    failed = ended_run(zt, "hello.said", '{"fail": true}')
    waiting = sleeping_run(zt)

    def listed(*words: str) -> list[str]:
        return [line.split("\t")[1] for line in zt("runs", "list", *words).stdout.splitlines()]

    assert listed("--status", "failed")[0] == failed["id"]
    assert waiting in listed("--status", "waiting")
    assert waiting in listed("--status", "failed,suspended", "--job", "sleep")
    assert failed["id"] not in listed("--job", "sleep")
    assert listed("--since", "1h")[:1] == [waiting]
    assert listed("--since", "2999-01-01T00:00:00Z") == []
    assert len(listed("--limit", "2")) == 2


def test_json_is_one_document_and_jsonl_is_one_a_line(zt: Zt) -> None:
    ended_run(zt)
    ended_run(zt)

    page = json.loads(zt("runs", "list", "--limit", "2", "--json").stdout)
    lines = [json.loads(line) for line in zt("runs", "list", "--limit", "2", "--jsonl").stdout.splitlines()]

    assert [run["id"] for run in page["runs"]] == [run["id"] for run in lines]
    assert page["nextCursor"] is not None


def test_more_runs_than_a_page_holds_are_listed(zt: Zt) -> None:
    for _ in range(3):
        sent_run(zt)

    import zopio_trigger.cli.runs as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PAGE", 2)
        ids = run_ids(zt("runs", "list", "--limit", "3").stdout)

    assert len(ids) == 3


def test_a_word_that_is_no_status_or_job_is_told_with_the_nearest(zt: Zt) -> None:
    wrong = zt("runs", "list", "--status", "faild")
    assert wrong.exit_code == 2
    assert "there is no status 'faild'; did you mean 'failed'?" in wrong.stderr

    nothing = zt("runs", "list", "--job", "gret")
    assert nothing.exit_code == 0
    assert "there is no job 'gret'; did you mean 'greet'?" in nothing.stderr


def test_a_run_is_shown_with_its_tasks_error_and_log(zt: Zt) -> None:
    run = ended_run(zt, "hello.said", '{"fail": true}')

    shown = zt("runs", "get", run["id"]).stdout

    assert f"✕ {run['id']} greet 1.0.0  failed in " in shown
    assert "ValueError: no voice (task say)" in shown
    assert re.search(r"app\.py:\d+ in say\n", shown)
    assert "✓ look-up" in shown
    assert "✕ say  ValueError: no voice" in shown
    assert "INFO  Greeting" in shown
    assert 'payload  {"fail":true}' in shown


def test_a_run_that_is_not_there_is_not_found(zt: Zt) -> None:
    missing = zt("runs", "get", "run_nothing")

    assert missing.exit_code == 3
    assert missing.stderr == "error: run run_nothing not found\n"


def test_following_a_run_tells_it_to_its_end(zt: Zt) -> None:
    run_id = sent_run(zt, "hello.said", '{"fail": true}')

    followed = zt("runs", "tail", run_id)

    assert followed.exit_code == 1
    assert f"▸ {run_id} greet   queued by hello.said" in followed.stdout
    assert "│ INFO  Greeting" in followed.stdout
    assert f"✕ {run_id} greet   failed in" in followed.stdout
    assert zt("runs", "tail", "run_nothing").exit_code == 3


def test_what_is_followed_can_be_had_as_json_lines(zt: Zt) -> None:
    run_id = sent_run(zt)

    lines = [json.loads(line) for line in zt("runs", "tail", run_id, "--jsonl").stdout.splitlines()]

    assert any(line.get("run", {}).get("status") == "completed" for line in lines)
    assert any(line.get("log", {}).get("message") == "Greeting" for line in lines)
    assert zt("runs", "tail", run_id, "--json").exit_code == 2


def test_jobs_are_listed_with_what_starts_them(zt: Zt) -> None:
    rows = [line.split("\t") for line in zt("jobs", "list").stdout.splitlines()]

    assert [row[0] for row in rows] == ["greet", "nightly", "picky", "sleep"]
    assert rows[0][2] == "event hello.said"
    assert rows[1][2] == "cron 0 3 * * * Europe/Istanbul"
    assert {row[4] for row in rows} == {"yes"}
    assert len(json.loads(zt("jobs", "list", "--json").stdout)["jobs"]) == 4


def test_schedules_are_listed_and_their_next_times(zt: Zt) -> None:
    (row,) = [line.split("\t") for line in zt("schedules", "list").stdout.splitlines()]
    assert row[:4] == ["nightly", "0 3 * * *", "At 03:00 every day", "Europe/Istanbul"]

    times = [line.split("\t")[0] for line in zt("schedules", "next", "--count", "3").stdout.splitlines()]
    assert len(times) == 3
    assert all(time.endswith("T00:00:00.000Z") for time in times)

    unknown = zt("schedules", "next", "nightli")
    assert unknown.exit_code == 3
    assert "did you mean 'nightly'?" in unknown.stderr


# --- changing


def test_a_failed_run_is_retried_without_a_question(zt: Zt) -> None:
    run = ended_run(zt, "hello.said", '{"fail": true}')

    retried = zt("runs", "retry", run["id"])

    assert retried.exit_code == 1
    assert retried.stdout == f"{run['id']}\tgreet\tfailed\n"


def test_what_people_are_not_there_to_confirm_is_refused(zt: Zt) -> None:
    run_id = sleeping_run(zt)

    refused = zt("runs", "cancel", run_id)

    assert refused.exit_code == 2
    assert f"to cancel {run_id} add --yes" in refused.stderr
    assert json.loads(zt("runs", "get", run_id, "--json").stdout)["status"] == "suspended"


def test_runs_from_a_pipe_are_cancelled_and_those_that_cannot_be_are_told(zt: Zt) -> None:
    ended = ended_run(zt)
    waiting = [sleeping_run(zt) for _ in range(2)]
    piped = "\n".join(f"waiting\t{run_id}\tsleep" for run_id in [*waiting, ended["id"]])

    cancelled = zt("runs", "cancel", "-", "--yes", stdin=piped)

    assert [line.split("\t")[2] for line in cancelled.stdout.splitlines()] == ["cancelled", "cancelled"]
    assert f"run {ended['id']} has already ended" in cancelled.stderr
    assert cancelled.exit_code == 6
    assert zt("runs", "cancel", "-", "--yes", stdin="").exit_code == 2


def test_a_replay_is_a_new_run_of_the_same_event(zt: Zt) -> None:
    run = ended_run(zt)

    replayed = json.loads(zt("runs", "replay", run["id"], "--yes", "--json").stdout)

    (again,) = replayed["runs"]
    assert again["replayOf"] == run["id"]
    assert again["eventId"] == run["eventId"]
    assert again["status"] == "completed"


def test_nobody_waits_for_a_run_that_sleeps(zt: Zt) -> None:
    run_id = sleeping_run(zt)
    zt("runs", "cancel", run_id, "--yes")

    replayed = zt("runs", "replay", run_id, "--yes")

    assert replayed.exit_code == 0
    assert replayed.stdout.endswith("\tsleep\tsuspended\n")


def test_a_person_is_asked_once(server: Dev, zt: Zt) -> None:
    run_id = sleeping_run(zt)
    folder = server.folder

    kept = on_terminal("runs", "cancel", run_id, folder=folder, url=server.url, types="n\n")
    assert f"cancel {run_id}? [y/N]" in kept.out
    assert kept.code == 130

    gone = on_terminal("runs", "cancel", run_id, folder=folder, url=server.url, types="y\n")
    assert gone.code == 0
    assert f"⊘ {run_id} sleep  cancelled" in without_colours(gone.out)
