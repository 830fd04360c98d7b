"""Every example runs by itself and does what it says."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.cli.processes import Dev, environment, zt

FOLDER = Path(__file__).parents[2] / "examples"
NOT_BY_THEMSELVES = {"__init__", "demo_jobs"}


def run(name: str, folder: Path) -> str:
    """What an example prints; any warning or failure is an error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(FOLDER / f"{name}.py")], cwd=folder, env=environment(),
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_every_example_is_tested() -> None:
    names = {file.stem for file in FOLDER.glob("*.py")} - NOT_BY_THEMSELVES
    text = Path(__file__).read_text()

    assert {name for name in names if f'"{name}"' not in text and f'.{name}"' not in text} == set()


def test_the_welcome_email_is_sent(tmp_path: Path) -> None:
    assert (
        run("send_welcome_email", tmp_path)
        == "welcome email to user@example.com\nsend-welcome-email completed\n"
    )


def test_a_registered_user_is_put_on_the_list_a_day_later(tmp_path: Path) -> None:
    assert run("user_registration", tmp_path).splitlines() == [
        "welcome email to ada@example.com (Ada)",
        "user-registration-workflow suspended",
        "ada@example.com is on the mailing list",
        "user-registration-workflow completed",
    ]


def test_the_weekly_report_is_made_and_announced_once_a_week(tmp_path: Path) -> None:
    assert run("weekly_report", tmp_path).splitlines() == [
        "weekly-report-generation completed",
        "announce-report completed",
    ]


@pytest.mark.slow
def test_data_is_fetched_at_the_third_attempt_and_written_once(tmp_path: Path) -> None:
    printed = run("sync_external_data", tmp_path)

    assert len(re.findall(r'"GET /users HTTP/1\.1" 503', printed)) == 2
    assert "fetch-external-data completed at attempt 3 of 3" in printed
    assert "sync-external-data completed {'recordsProcessed': 2}" in printed
    with closing(sqlite3.connect(tmp_path / ".zopio" / "records.db")) as database:
        rows = database.execute("SELECT * FROM records ORDER BY id").fetchall()
    assert rows == [("users", 1, "Ada"), ("users", 2, "Grace")]


def test_a_hundred_items_are_a_hundred_tasks(tmp_path: Path) -> None:
    printed = run("fan_out", tmp_path)

    assert printed == "resize-images completed with 100 tasks: {'images': 100, 'bytes': 70000}\n"


def test_a_trip_that_cannot_be_paid_is_undone_in_reverse(tmp_path: Path) -> None:
    lines = run("saga", tmp_path).splitlines()

    assert lines[4].startswith("book-trip completed {'booked': True")
    assert lines[8:11] == [f"cancelled {what}-trip_expired" for what in ("car", "hotel", "flight")]
    assert lines[11].startswith("book-trip completed {'booked': False")


@pytest.mark.slow
def test_the_web_app_answers_and_its_job_runs_inside_it(tmp_path: Path) -> None:
    with web_app(tmp_path) as address:
        created = ask(f"{address}/users", {"email": "ada@example.com"})
        for _ in range(100):
            run = ask(f"{address}/runs/{created['runId']}")
            if run["status"] == "completed":
                break

    assert run == {"job": "send-welcome-email", "status": "completed"}


@pytest.mark.slow
def test_the_web_app_sends_to_a_server_that_has_its_jobs(tmp_path: Path) -> None:
    with Dev(tmp_path, "--no-reload", app=str(FOLDER / "fastapi_app.py")) as dev:
        with web_app(tmp_path, TRIGGER_API_URL=dev.url) as address:
            created = ask(f"{address}/users", {"email": "ada@example.com"})

        dev.says(rf"✓ {created['runId']} send-welcome-email   completed")
        assert "welcome email to ada@example.com" in dev.text


@pytest.mark.slow
def test_the_demo_shows_a_kill_that_repeats_nothing_and_leaves_its_store(tmp_path: Path) -> None:
    left = tmp_path / ".zopio" / "demo-ledger.txt"
    left.parent.mkdir()
    left.write_text("shipped order_7\n")  # as an earlier demo may have left it

    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "examples.demo"], cwd=tmp_path,
        env=environment(PYTHONPATH=str(FOLDER.parent)), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert "$ kill -9 " in done.stdout
    assert "✓ and no task was repeated" in done.stdout
    listed = zt("runs", "list", "--store", ".zopio/demo.db", folder=tmp_path).out
    assert sorted(line.split("\t")[0] for line in listed.splitlines()) == ["completed"] * 5 + ["waiting"]


@contextmanager
def web_app(folder: Path, **settings: str) -> Iterator[str]:
    """The example "fastapi_app" on a free port; yields its address."""
    reader, writer = os.pipe()
    serving = (
        "import socket, sys, uvicorn; sys.path.insert(0, sys.argv[1]); from fastapi_app import app;"
        "s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True);"
        "uvicorn.Server(uvicorn.Config(app, log_level='warning')).run([s])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", serving, str(FOLDER)], cwd=folder, env=environment(**settings), stdout=writer
    )
    os.close(writer)
    with os.fdopen(reader) as said:
        try:
            yield f"http://127.0.0.1:{int(said.readline())}"
        finally:
            process.terminate()
            process.wait(20)


def ask(url: str, body: object = None) -> dict[str, str]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        answer: dict[str, str] = json.load(response)
    return answer
