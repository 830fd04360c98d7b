"""`zopio-trigger send`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.cli.conftest import Zt, ended_run, sent_run


def test_what_is_piped_is_separated_by_tabs_and_has_whole_ids(zt: Zt) -> None:
    sent = zt("send", "hello.said", '{"whom": "Ada"}', COLUMNS="20")

    event, run = (line.split("\t") for line in sent.stdout.splitlines())
    assert event[0] == "event"
    assert event[1].startswith("evt_")
    assert len(event[1]) == 30
    assert event[2] == "hello.said"
    assert run[0] == "run"
    assert len(run[1]) == 30
    assert run[2] == "greet"


def test_the_exit_code_follows_the_runs(zt: Zt) -> None:
    assert zt("send", "hello.said", "--wait").exit_code == 0
    assert zt("send", "hello.said", '{"fail": true}', "--wait").exit_code == 1
    assert zt("send", "hello.said", '{"fail": true}').exit_code == 0


def test_waiting_ends_after_the_timeout(zt: Zt) -> None:
    given_up = zt("send", "night.fell", "--wait", "--timeout", "1s")

    assert given_up.exit_code == 7
    assert "has not ended within 1 s" in given_up.stderr


def test_the_result_of_the_run_is_part_of_the_json(zt: Zt) -> None:
    run = ended_run(zt)

    assert run["status"] == "completed"
    assert run["output"] == "hello"
    assert [task["key"] for task in run["tasks"]] == ["look-up", "say"]


def test_json_lines_are_one_document_each(zt: Zt) -> None:
    sent = json.loads(zt("send", "hello.said", "--jsonl").stdout)
    assert sent["name"] == "hello.said"
    ended = json.loads(zt("send", "hello.said", "--jsonl", "--wait").stdout)
    assert ended["status"] == "completed"
    assert zt("send", "hello.said", "--jsonl", "--json").exit_code == 2


def test_the_payload_comes_from_a_file_or_from_stdin(zt: Zt) -> None:
    Path("payload.json").write_text('{"whom": "Grace"}')

    from_file = sent_run(zt, "hello.said", "@payload.json")
    sent = json.loads(zt("send", "hello.said", "-", "--json", stdin='{"whom": "Edsger"}').stdout)

    assert json.loads(zt("runs", "get", from_file, "--json").stdout)["payload"] == {"whom": "Grace"}
    from_stdin = zt("runs", "get", sent["event"]["runs"][0], "--json").stdout
    assert json.loads(from_stdin)["payload"] == {"whom": "Edsger"}


def test_json_that_is_none_is_refused_with_a_hint(zt: Zt) -> None:
    wrong = zt("send", "hello.said", "{userId: 1}")
    assert wrong.exit_code == 2
    assert "single quotes" in wrong.stderr

    Path("payload.json").write_text("{")
    assert "(read from payload.json)" in zt("send", "hello.said", "@payload.json").stderr
    assert zt("send", "hello.said", "@nothing.json").exit_code == 2


def test_an_event_nobody_listens_to_is_told_with_the_nearest_name(zt: Zt) -> None:
    unheard = zt("send", "helo.said")
    assert unheard.exit_code == 0
    assert "no job listens to 'helo.said'; did you mean 'hello.said'?" in unheard.stderr

    filtered = zt("send", "music.played", '{"style": "rock"}')
    assert "filters this payload out" in filtered.stderr

    assert zt("send", "helo.said", "--wait").exit_code == 3


def test_the_first_event_with_an_id_stands(zt: Zt) -> None:
    assert zt("send", "hello.said", '{"n": 1}', "--id", "order-1").exit_code == 0

    again = zt("send", "hello.said", '{"n": 2}', "--id", "order-1")

    assert again.exit_code == 0
    assert "order-1 was sent before, and this one says something else; the first one stands" in again.stderr


def test_waiting_for_a_duplicate_waits_for_the_runs_of_the_first(zt: Zt) -> None:
    first = sent_run(zt, "hello.said", "{}", "--id", "order-2")

    again = zt("send", "hello.said", "--id", "order-2", "--wait", "--json")

    assert [run["id"] for run in json.loads(again.stdout)["runs"]] == [first]


def test_a_delayed_event_is_waited_for(zt: Zt) -> None:
    delayed = zt("send", "hello.said", "--delay", "1s", "--wait", "--json")

    (run,) = json.loads(delayed.stdout)["runs"]
    assert run["status"] == "completed"


def test_a_delayed_event_starts_nothing_yet(zt: Zt) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
    later = zt("send", "hello.said", "--at", tomorrow, "--json")
    assert json.loads(later.stdout)["event"]["runs"] == []
    assert later.stderr == ""

    assert zt("send", "hello.said", "--delay", "soon").exit_code == 2
    assert zt("send", "hello.said", "--at", "2999-01-01").exit_code == 2
    assert zt("send", "hello.said", "--at", "2999-01-01T09:00:00Z", "--delay", "1s").exit_code == 2


def test_the_context_reaches_the_event(zt: Zt) -> None:
    assert zt("send", "hello.said", "--context", '{"tenant": "acme"}').exit_code == 0
    assert zt("send", "hello.said", "--context", "{tenant}").exit_code == 2
