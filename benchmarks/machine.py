"""What figures were measured on and with. Figures without this mean nothing."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from benchmarks.place import REPOSITORY, Place

QUIET_LOAD = 0.5  # above this somebody else is using the machine


class Machine(Struct, frozen=True):
    """The machine, and the settings of the measurement."""

    measured_at: str
    system: str
    cpu: str
    cores: int
    memory_gb: float | None
    python: str
    sqlite: str
    store: str
    synchronous: str
    file_system: str
    uvloop: bool
    commit: str
    load_before: tuple[float, float, float]
    repetitions: int
    sizes: str  # "full", or "tiny" when the figures mean nothing

    @property
    def is_quiet(self) -> bool:
        return self.load_before[0] <= QUIET_LOAD


def look(place: Place, *, repetitions: int, sizes: str) -> Machine:
    """The machine as it is now, before anything is measured."""
    return Machine(
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        system=platform.platform(),
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        memory_gb=_memory_gb(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        sqlite=sqlite3.sqlite_version,
        store=place.shown,
        synchronous="FULL",  # what `open_store` opens files with, and what the reference loop uses
        file_system=_file_system(place.parent),
        uvloop=False,  # the benchmarks run on asyncio's own loop, whether or not uvloop is installed
        commit=_commit(),
        load_before=os.getloadavg(),
        repetitions=repetitions,
        sizes=sizes,
    )


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_gb() -> float | None:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None
    return round(total / 2**30, 1)


def _file_system(folder: Path) -> str:
    """Kind and device of the file system that holds a folder, which need not exist yet."""
    folder = folder.absolute()
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    covering = [fields for fields in mounts if folder.is_relative_to(fields[1].replace("\\040", " "))]
    if not covering:
        return "unknown"
    device, _, kind, *_ = max(covering, key=lambda fields: len(fields[1]))
    return f"{kind} on {device}"


def _commit() -> str:
    """The commit that is checked out; "+" when the tree differs from it."""
    head = _git("rev-parse", "--short=12", "HEAD")
    if not head:
        return "unknown"
    return f"{head}+" if _git("status", "--porcelain") else head


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
