"""W1 and W2: how many jobs and how many tasks a second, sent in process."""

from __future__ import annotations

import asyncio

from benchmarks.contest import Contestant, Job, seconds_for, sequential
from benchmarks.disk import sync_p50_us
from benchmarks.place import Spot
from benchmarks.reference import ReferenceLoop
from benchmarks.stage import stage
from benchmarks.workload import Repetition, Setting, Sizes, Workload, beside

WARM_UP = 20  # untimed part of the events before the timed ones: one in so many


def jobs(setting: Setting) -> Repetition:
    """W1: one-task jobs a second."""
    sizes = setting.sizes
    return _rates(setting, "jobs_per_s", events=sizes.w1_events, tasks=1, at_once=sizes.w1_at_once)


def tasks(setting: Setting) -> Repetition:
    """W2: tasks a second, in runs that execute at once."""
    sizes = setting.sizes
    return _rates(setting, "tasks_per_s", events=sizes.w2_runs, tasks=sizes.w2_tasks, at_once=sizes.w2_runs)


def _rates(setting: Setting, unit: str, *, events: int, tasks: int, at_once: int) -> Repetition:
    job = sequential(tasks)

    async def seconds(contestant: Contestant) -> float:
        await seconds_for(contestant, max(1, events // WARM_UP), at_once)
        return await seconds_for(contestant, events, at_once)

    async def reference(spot: Spot, job: Job) -> float:
        async with ReferenceLoop(spot.folder / "reference.db", job) as loop:
            return await seconds(loop)

    async def ours(spot: Spot, job: Job) -> float:
        async with stage(spot.url, job) as system:
            return await seconds(system)

    with setting.place.fresh() as spot:
        sync_us = sync_p50_us(spot.folder, setting.sizes.disk_appends)
        reference_s, ours_s = beside(
            setting, lambda: asyncio.run(reference(spot, job)), lambda: asyncio.run(ours(spot, job))
        )
    return Repetition(
        {unit: events * tasks / ours_s},
        {unit: events * tasks / reference_s, "ratio": reference_s / ours_s, "fdatasync_p50_us": sync_us},
    )


def _w1_scene(sizes: Sizes) -> str:
    return f"{sizes.w1_events:,} events sent {sizes.w1_at_once} at a time, one one-task run each"


def _w2_scene(sizes: Sizes) -> str:
    return f"{sizes.w2_runs:,} runs at once, {sizes.w2_tasks} sequential tasks each"


BUDGET = "ratio (to the reference loop) at least 0.4, aim 0.7"
W1 = Workload("W1", _w1_scene, BUDGET, jobs)
W2 = Workload("W2", _w2_scene, BUDGET, tasks)
