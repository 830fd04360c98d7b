"""A process with many sleeping runs, which weighs them and itself."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path

from msgspec import Struct

from benchmarks.contest import Payload, send_all
from benchmarks.memory import resident_kb
from benchmarks.process import answer, question
from benchmarks.stage import Stage, stage
from zopio_trigger import IO

AT_ONCE = 50  # senders
FILLING_BATCH = 500  # events a transaction
FILLING = "x" * 2_048  # payload of an event that no job listens to
HOUR = 3_600.0
LOOK_EVERY = 0.005  # seconds between looks whether evicted runs have left memory


class Asked(Struct):
    url: str
    runs: int
    filling_events: int
    idle_seconds: float
    max_residents: int


class Answer(Struct):
    all_asleep_s: float
    kb_per_run: float
    bytes_per_run: float | None  # on disk; None when the store is no file
    idle_cpu: float


async def sleep_an_hour(payload: Payload, io: IO) -> None:
    await io.wait("an-hour", seconds=HOUR)


async def main(asked: Asked) -> Answer:
    async with stage(asked.url, sleep_an_hour, max_residents=asked.max_residents) as system:
        await send_all(system, AT_ONCE, AT_ONCE)
        await _all_asleep(system, AT_ONCE, asked)
        await _fill_caches(system, asked.filling_events)
        kb, size = resident_kb(), _bytes_of(asked.url)
        began = time.perf_counter()
        await send_all(system, asked.runs, AT_ONCE)
        await _all_asleep(system, AT_ONCE + asked.runs, asked)
        all_asleep_s = time.perf_counter() - began
        await asyncio.sleep(asked.idle_seconds / 10)  # evicted functions end a moment after their lease
        kb_per_run = (resident_kb() - kb) / asked.runs
        new_size = _bytes_of(asked.url)
        return Answer(
            all_asleep_s=all_asleep_s,
            kb_per_run=kb_per_run,
            bytes_per_run=None if size is None or new_size is None else (new_size - size) / asked.runs,
            idle_cpu=await _idle_cpu(asked.idle_seconds),
        )


async def _all_asleep(system: Stage, runs: int, asked: Asked) -> None:
    """Return when so many runs are suspended, and those that memory has no room for have been given up."""
    await system.tally.reached("suspended", runs)
    while system.worker.resident > asked.max_residents:  # noqa: ASYNC110  # a worker does not tell of evictions
        await asyncio.sleep(LOOK_EVERY)
    await system.system.platform.committer.settled()


async def _fill_caches(system: Stage, events: int) -> None:
    """Let the store's page cache grow to its full size first: it belongs to the process, not to the runs."""
    for _ in range(0, events, FILLING_BATCH):
        await system.client.send_events([("benchmarks.filling", FILLING)] * FILLING_BATCH)


def _bytes_of(url: str) -> int | None:
    """Size of the store as of the last commit, whether or not it stands in the main file yet."""
    path = Path(url.removeprefix("sqlite:///"))
    if not path.is_file():
        return None
    database = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        figures = [
            database.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        ]
    finally:
        database.close()
    pages, free, size = figures
    return int((pages - free) * size)


async def _idle_cpu(seconds: float) -> float:
    """Share of one core that the process uses while nothing happens."""
    began, used = time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    return (time.process_time() - used) / (time.perf_counter() - began)


if __name__ == "__main__":
    answer(asyncio.run(main(question(Asked))))
