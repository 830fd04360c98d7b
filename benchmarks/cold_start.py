"""W8: from an empty folder to the first job done, in a fresh process."""

from __future__ import annotations

import time

from benchmarks import process
from benchmarks.children.first_job import Answer, Asked
from benchmarks.disk import sync_p50_us
from benchmarks.workload import Repetition, Setting, Workload


def first_job(setting: Setting) -> Repetition:
    """W8: seconds from the start of the interpreter until the job's run is on disk as completed; peak memory."""
    with setting.place.fresh() as spot:
        sync_us = sync_p50_us(spot.folder, setting.sizes.disk_appends)
        started_at = time.time_ns() // 1000
        done = process.run("first_job", Asked(spot.url), Answer)
    return Repetition(
        {"cold_start_s": (done.done_at - started_at) / 1e6, "mb": done.peak_mb}, {"fdatasync_p50_us": sync_us}
    )


W8 = Workload("W8", lambda _: "an empty folder, a fresh process, one event, one job", "none yet", first_job)
