"""W3 and W4: how soon an idle system starts a job and shows its result, and what one task after another costs."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable

from benchmarks.contest import Contestant, Job, Payload, TaskIO, seconds_for, work
from benchmarks.disk import sync_p50_us
from benchmarks.place import Spot
from benchmarks.reference import ReferenceLoop
from benchmarks.stage import Stage, stage
from benchmarks.workload import Figures, Repetition, Setting, Sizes, Workload, beside
from zopio_trigger.model.commands import Receipt
from zopio_trigger.model.views import value

OVERHEAD_US = 100.0  # what a task may cost beside its flush
FLUSHES = 1.5  # … and the flush itself, whose cost varies with what else the disk does


# --- W3


def first_lines(setting: Setting) -> Repetition:
    """W3: milliseconds from sending to the job's first line, and until its result can be read."""
    sizes = setting.sizes

    async def reference(spot: Spot) -> Figures:
        watch = _Watch()
        async with ReferenceLoop(spot.folder / "reference.db", watch.job) as loop:
            return await watch.figures(loop, sizes, _committed)

    async def ours(spot: Spot) -> Figures:
        watch = _Watch()
        async with stage(spot.url, watch.job) as system:
            return await watch.figures(system, sizes, _readable(system))

    with setting.place.fresh() as spot:
        sync_us = sync_p50_us(spot.folder, sizes.disk_appends)
        reference_figures, our_figures = beside(
            setting, lambda: asyncio.run(reference(spot)), lambda: asyncio.run(ours(spot))
        )
    ratio = our_figures["first_line_p50_ms"] / reference_figures["first_line_p50_ms"]
    return Repetition(our_figures, {**reference_figures, "ratio": ratio, "fdatasync_p50_us": sync_us})


class _Watch:
    """Times events one by one."""

    def __init__(self) -> None:
        self._first_line_at = 0.0

    async def job(self, payload: Payload, io: TaskIO) -> dict[str, bool]:
        self._first_line_at = time.perf_counter()
        await io.run_task("only", work, payload["number"])
        return {"ok": True}

    async def figures(
        self, contestant: Contestant, sizes: Sizes, visible: Callable[[object], Awaitable[None]]
    ) -> Figures:
        await seconds_for(contestant, 5, 1)
        gc.collect()
        first_lines, results = [], []
        for number in range(sizes.w3_events):
            await asyncio.sleep(sizes.w3_pause_seconds)
            target = contestant.tally["completed"] + 1
            sent_at = time.perf_counter()
            receipt = await contestant.send({"number": number})
            await contestant.tally.reached("completed", target)
            await visible(receipt)
            results.append(time.perf_counter() - sent_at)
            first_lines.append(self._first_line_at - sent_at)
        return {
            "first_line_p50_ms": _percentile(first_lines, 50) * 1e3,
            "first_line_p99_ms": _percentile(first_lines, 99) * 1e3,
            "result_p50_ms": _percentile(results, 50) * 1e3,
            "result_p99_ms": _percentile(results, 99) * 1e3,
        }


async def _committed(receipt: object) -> None:
    """The reference loop can be asked nothing; its result counts as visible once it is on disk."""


def _readable(system: Stage) -> Callable[[object], Awaitable[None]]:
    """A result is visible when whoever asks for the run gets it with its output."""

    async def read(receipt: object) -> None:
        assert isinstance(receipt, Receipt)
        run = await system.client.get_run(receipt.runs[0])
        if value(run.output) != {"ok": True}:
            raise RuntimeError(f"run {run.id} has ended and reads as {run.status} with output {run.output!r}")

    return read


# --- W4


def task_after_task(setting: Setting) -> Repetition:
    """W4: microseconds a task in one run."""
    sizes = setting.sizes
    durations: list[float] = []

    async def job(payload: Payload, io: TaskIO) -> dict[str, bool]:
        durations.clear()
        for number in range(sizes.w4_tasks):
            began = time.perf_counter()
            await io.run_task(f"task-{number}", work, number)
            durations.append(time.perf_counter() - began)
        return {"ok": True}

    async def reference(spot: Spot, job: Job) -> float:
        async with ReferenceLoop(spot.folder / "reference.db", job) as loop:
            await seconds_for(loop, 1, 1)
            return statistics.median(durations) * 1e6

    async def ours(spot: Spot, job: Job) -> float:
        async with stage(spot.url, job) as system:
            await seconds_for(system, 1, 1)
            return statistics.median(durations) * 1e6

    with setting.place.fresh() as spot:
        sync_us = sync_p50_us(spot.folder, sizes.disk_appends)
        reference_us, our_us = beside(
            setting, lambda: asyncio.run(reference(spot, job)), lambda: asyncio.run(ours(spot, job))
        )
    bound_us = FLUSHES * sync_us + OVERHEAD_US
    return Repetition(
        {"task_p50_us": our_us},
        {
            "task_p50_us": reference_us,
            "bound_us": bound_us,
            "ratio": our_us / bound_us,
            "fdatasync_p50_us": sync_us,
        },
    )


def _percentile(values: Iterable[float], percent: int) -> float:
    """The smallest value that `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def _w3_scene(sizes: Sizes) -> str:
    return (
        f"idle system, {sizes.w3_events} events one at a time: to the job's first line, to a readable result"
    )


def _w4_scene(sizes: Sizes) -> str:
    return f"one run of {sizes.w4_tasks} sequential tasks"


W3 = Workload("W3", _w3_scene, "first_line_p50_ms at most 1; ratio is that of the first lines", first_lines)
W4 = Workload("W4", _w4_scene, "ratio (to 1.5 x fdatasync p50 + 100 us) at most 1", task_after_task)
