"""W6: runs that sleep an hour: how soon they do, what each of them weighs, what they cost while they sleep."""

from __future__ import annotations

from benchmarks import process
from benchmarks.children.sleepers import Answer, Asked
from benchmarks.disk import sync_p50_us
from benchmarks.workload import Figures, Repetition, Setting, Sizes, Workload


def sleepers(setting: Setting) -> Repetition:
    """W6: once with all runs resident, once with all of them evicted, each in a process of its own."""
    with setting.place.fresh() as spot:
        sync_us = sync_p50_us(spot.folder, setting.sizes.disk_appends)
    resident = _measured(setting, max_residents=2 * setting.sizes.w6_runs)
    evicted = _measured(setting, max_residents=0)
    figures: Figures = {
        "all_asleep_s": resident.all_asleep_s,
        "kb_per_run": resident.kb_per_run,
        "idle_cpu": resident.idle_cpu,
        "evicted_all_asleep_s": evicted.all_asleep_s,
        "evicted_kb_per_run": evicted.kb_per_run,
    }
    if evicted.bytes_per_run is not None:
        figures["evicted_disk_bytes_per_run"] = evicted.bytes_per_run
    return Repetition(figures, {"fdatasync_p50_us": sync_us})


def _measured(setting: Setting, *, max_residents: int) -> Answer:
    sizes = setting.sizes
    with setting.place.fresh() as spot:
        asked = Asked(spot.url, sizes.w6_runs, sizes.w6_filling_events, sizes.w6_idle_seconds, max_residents)
        return process.run("sleepers", asked, Answer)


def _w6_scene(sizes: Sizes) -> str:
    return f"{sizes.w6_runs:,} runs sleep an hour; resident, and evicted"


BUDGET = "kb_per_run under 10, evicted_disk_bytes_per_run under 2,000"
W6 = Workload("W6", _w6_scene, BUDGET, sleepers)
