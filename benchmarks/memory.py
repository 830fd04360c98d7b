"""How much memory this process uses."""

from __future__ import annotations

import ctypes
import ctypes.util
import gc
import os
import resource
import subprocess
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def resident_kb() -> float:
    """KiB of memory in use now, after collecting garbage and giving free memory back to the system."""
    gc.collect()
    _trim()
    if STATUS.exists():
        return _status("VmRSS")
    shown = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(os.getpid())], capture_output=True, text=True, check=True
    )
    return float(shown.stdout)


def peak_kb() -> float:
    """KiB of memory in use at most so far.

    Linux: not `getrusage`, whose peak begins with that of the process that started this one.
    """
    if STATUS.exists():
        return _status("VmHWM")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform == "darwin" else float(peak)


def _status(name: str) -> float:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return float(line.split()[1])


def _trim() -> None:
    """What was freed but is kept by the allocator for later must not count as used."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl does not
        if trim is not None:
            trim(0)
