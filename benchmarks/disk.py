"""How long the disk takes to make a write durable, which bounds every commit."""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

BLOCK = b"\0" * 4096  # a page of the store


def sync_p50_us(folder: Path, appends: int) -> float:
    """Microseconds (median) to append 4 KiB to a file and have it on disk."""
    path = folder / "disk-probe"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return statistics.median(_append(descriptor) for _ in range(appends))
    finally:
        os.close(descriptor)
        path.unlink()


def _append(descriptor: int) -> float:
    began = time.perf_counter()
    os.write(descriptor, BLOCK)
    _flush(descriptor)
    return (time.perf_counter() - began) * 1e6


def _flush(descriptor: int) -> None:
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # fsync alone does not reach the disk there
    elif hasattr(os, "fdatasync"):
        os.fdatasync(descriptor)
    else:
        os.fsync(descriptor)
