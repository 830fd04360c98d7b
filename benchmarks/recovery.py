"""W7: a process is killed in the middle of its work. How soon has the next one finished it, was anything lost, did
anything run again that had been recorded as done?"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks import process
from benchmarks.children.mortal import Answer, Asked
from benchmarks.disk import sync_p50_us
from benchmarks.place import Spot
from benchmarks.workload import Repetition, Setting, Sizes, Unavailable, Workload
from zopio_trigger.composition import open_store
from zopio_trigger.model.clock import SystemClock
from zopio_trigger.model.records import Run
from zopio_trigger.storage.port import RunQuery, Store

LOOK_EVERY = 0.002  # seconds between looks whether it is time to kill
PATIENCE_SECONDS = 60.0  # for the second process: what has not ended by then never will
ENVIRONMENT = "bench"

Body = tuple[str, str]
"""Run id and task key."""


class Began(NamedTuple):
    """The start of a task's body, at an instant in microseconds."""

    body: Body
    at: int


@dataclass(frozen=True, slots=True)
class Diary:
    """What the processes have written down themselves."""

    sent: frozenset[str]  # runs whose events were acknowledged
    began: tuple[Began, ...]
    ended: int

    @staticmethod
    def read(path: Path) -> Diary:
        """The whole lines of the file; a process may have been killed while it wrote another."""
        lines = [line.split() for line in path.read_text().rpartition("\n")[0].splitlines()]
        return Diary(
            sent=frozenset(words[1] for words in lines if words[0] == "sent"),
            began=tuple(Began((words[1], words[2]), int(words[3])) for words in lines if words[0] == "began"),
            ended=sum(words[0] == "ended" for words in lines),
        )


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a store says: its runs, and when each task was completed."""

    runs: Mapping[str, Run]
    completed_at: Mapping[Body, int]


def kill_and_go_on(setting: Setting) -> Repetition:
    """W7: seconds from the start of the second process to the end of the last run; runs lost; tasks repeated."""
    if not setting.place.is_sqlite_file:
        raise Unavailable(f"needs a SQLite file; the store is {setting.place.shown}")
    with setting.place.fresh() as spot:
        sync_us = sync_p50_us(spot.folder, setting.sizes.disk_appends)
        at_death = _first_process(spot, setting.sizes)
        started_at = time.time_ns() // 1000
        failure = _second_process(spot, setting.sizes)
        in_the_end = asyncio.run(_recorded(spot.url))
        diary = Diary.read(_diary_path(spot))
    lost = lost_runs(diary, in_the_end)
    if failure is not None and not lost:
        raise failure
    if not at_death.completed_at:
        raise process.ChildFailed("the process was killed before it had completed a task; kill it later")
    last_end = max((run.finished_at or 0 for run in in_the_end.runs.values()), default=0)
    return Repetition(
        {
            "recovery_s": (last_end - started_at) / 1e6,
            "lost": float(lost),
            "repeated": float(repeated_tasks(diary, at_death, in_the_end)),
        },
        {"fdatasync_p50_us": sync_us},
    )


def lost_runs(diary: Diary, in_the_end: Recorded) -> int:
    """Acknowledged events whose run is gone or has not completed."""
    completed = {run.id for run in in_the_end.runs.values() if run.state == "completed"}
    return len(diary.sent - completed)


def repeated_tasks(diary: Diary, at_death: Recorded, in_the_end: Recorded) -> int:
    """Bodies that began again after the row that completes their task was on disk."""
    completed_at = {**in_the_end.completed_at, **at_death.completed_at}
    return sum(began.at > completed_at.get(began.body, began.at) for began in diary.began)


def _first_process(spot: Spot, sizes: Sizes) -> Recorded:
    """Run it until it has done its share, kill it, and read what was on disk at that moment."""
    bodies = round(sizes.w7_runs * sizes.w7_tasks * sizes.w7_killed_at)
    with process.start("mortal", _asked(spot, sizes, sends=True)) as child:
        try:
            _wait_for_bodies(child, _diary_path(spot), bodies)
        finally:
            child.kill()
    return asyncio.run(_recorded(_copied(spot)))


def _second_process(spot: Spot, sizes: Sizes) -> process.ChildFailed | None:
    """Let it finish. That it cannot is not the end of the measurement: runs that never end are lost ones."""
    try:
        process.run("mortal", _asked(spot, sizes, sends=False), Answer, patience_seconds=PATIENCE_SECONDS)
    except process.ChildFailed as failure:
        return failure
    return None


def _wait_for_bodies(child: subprocess.Popen[bytes], path: Path, bodies: int) -> None:
    """Return when so many bodies have ended."""
    ended = 0
    rest = b""
    while not path.exists():
        _check_alive(child)
    with path.open("rb") as diary:
        while ended < bodies:
            _check_alive(child)
            *lines, rest = (rest + diary.read()).split(b"\n")
            ended += sum(line.startswith(b"ended") for line in lines)


def _check_alive(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is not None:
        raise process.ChildFailed("the process to be killed ended by itself; see above for why")
    time.sleep(LOOK_EVERY)


def _copied(spot: Spot) -> str:
    """A copy of the store as the dead process left it: opening the original would already repair it."""
    folder = spot.folder / "at-death"
    folder.mkdir()
    for file in spot.folder.glob("bench.db*"):
        shutil.copy(file, folder)
    return f"sqlite:///{folder / 'bench.db'}"


async def _recorded(url: str) -> Recorded:
    store = open_store(url, SystemClock())
    await store.open()
    try:
        environment = next(row for row in await store.environments() if row.slug == ENVIRONMENT)
        runs = await store.runs(RunQuery(env_no=environment.no, limit=1_000_000))
        return Recorded({run.id: run for run in runs}, await _completed_at(store, runs))
    finally:
        await store.close()


async def _completed_at(store: Store, runs: Iterable[Run]) -> dict[Body, int]:
    completed: dict[Body, int] = {}
    for run in runs:
        for task in await store.tasks(run.id):
            if task.state == "completed" and task.finished_at is not None:
                completed[run.id, task.key] = task.finished_at
    return completed


def _diary_path(spot: Spot) -> Path:
    return spot.folder / "diary"


def _asked(spot: Spot, sizes: Sizes, *, sends: bool) -> Asked:
    return Asked(
        spot.url, ENVIRONMENT, str(_diary_path(spot)), sizes.w7_runs, sizes.w7_tasks, sizes.w7_body_ms, sends
    )


def _w7_scene(sizes: Sizes) -> str:
    return (
        f"kill -9 with {sizes.w7_runs} runs of {sizes.w7_tasks} tasks of {sizes.w7_body_ms} ms in flight, "
        f"{sizes.w7_killed_at:.0%} of the bodies done; then the next process"
    )


W7 = Workload("W7", _w7_scene, "nothing lost, nothing repeated", kill_and_go_on)
