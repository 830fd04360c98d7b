"""`kill -9` at random moments under load, on real files: what was acknowledged is there, what was completed stays.

30 rounds here; `make soak` runs hundreds and prints its seed (`SOAK_ROUNDS`, `SOAK_SEED`).
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zopio_trigger.model import json

ROUNDS = int(os.environ.get("SOAK_ROUNDS", "30"))
SEED = int(os.environ.get("SOAK_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
ROOT = Path(__file__).parent.parent.parent
FINISHES_WITHIN = 60  # seconds


def start(store: Path, side: Path, seed: int, mode: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "tests.acceptance.victim",
        f"sqlite:///{store}",
        str(side),
        str(seed),
        mode,
    ]
    return subprocess.Popen(command, cwd=ROOT)


def wait_for_first_line(side: Path, process: subprocess.Popen[bytes], size_before: int) -> None:
    """Wait until the process works, so that the kill hits it at work and not in its imports."""
    give_up_at = time.monotonic() + FINISHES_WITHIN
    while not side.exists() or side.stat().st_size == size_before:
        assert process.poll() is None, "the process ended by itself"
        assert time.monotonic() < give_up_at, "the process does nothing"
        time.sleep(0.005)


def said(side: Path) -> list[list[str]]:
    return [line.split(" ", 2) for line in side.read_text().splitlines()]


def rows(store: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(store) as database:
        return database.execute(query).fetchall()


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_repeated_when_the_process_is_killed(tmp_path: Path) -> None:
    print(f"seed {SEED}, {ROUNDS} rounds")
    chance = random.Random(SEED)
    store, side = tmp_path / "jobs.db", tmp_path / "side"

    for number in range(ROUNDS):
        size = side.stat().st_size if side.exists() else 0
        process = start(store, side, SEED + number, "send")
        try:
            wait_for_first_line(side, process, size)
            time.sleep(chance.random() * 0.5)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    last = start(store, side, SEED, "finish")
    assert last.wait(FINISHES_WITHIN) == 0

    check_every_acknowledged_event_ran_to_its_end(store, side)
    check_no_completed_task_began_again(store, side)
    check_outputs(store, side)


def check_every_acknowledged_event_ran_to_its_end(store: Path, side: Path) -> None:
    acknowledged = {words[1] for words in said(side) if words[0] == "sent"}
    ended = dict(rows(store, "SELECT event_id, state FROM runs"))
    assert len(acknowledged) > ROUNDS, "hardly any event was sent: the test proves nothing"
    assert acknowledged <= ended.keys(), "an acknowledged event was lost"
    assert Counter(ended.values()) == {"completed": len(ended)}
    assert rows(store, "SELECT count(*) FROM tasks WHERE state IN ('running', 'waiting')") == [(0,)]


def check_no_completed_task_began_again(store: Path, side: Path) -> None:
    completed = {(run, key): at for run, key, at in rows(store, "SELECT run_id, key, finished_at FROM tasks")}
    for words in said(side):
        if words[0] == "begin":
            run_id, (task, instant) = words[1], words[2].rsplit(" ", 1)
            at = completed[run_id, task]
            assert isinstance(at, int)
            assert int(instant) <= at, f"{task} of {run_id} began again after it was completed"


def check_outputs(store: Path, side: Path) -> None:
    wanted: dict[str, Callable[[int], object]] = {
        "chain": lambda n: 5 * n + 10,
        "fan": lambda n: 15 + n,
        "shaky": lambda n: "done",
    }
    query = "SELECT runs.job, events.payload, runs.output FROM runs JOIN events ON events.id = runs.event_id"
    for job, payload, output in rows(store, query):
        value = json.decode(str(payload))
        assert json.decode(str(output)) == wanted[str(job)](value["n"])
