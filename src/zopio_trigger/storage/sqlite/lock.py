"""The lock on a store: one process for one SQLite file. It hangs on a side file, so that SQLite's own locks stay free
for backups and shells, and it ends with the process, however that ends."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from weakref import WeakSet

from zopio_trigger.errors import StoreError, StoreLocked

NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "fuse.sshfs"}
)


class FileLock:
    """An exclusive lock held until `release` or the end of the process."""

    def __init__(self, store: Path) -> None:
        self._path = store.with_name(store.name + ".lock")
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take the lock or say who has it."""
        _refuse_network_file_system(self._path.parent)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _lock(descriptor)
        except OSError:
            holder = (
                os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip()
                if hasattr(os, "pread")
                else ""
            )
            os.close(descriptor)
            raise StoreLocked(
                f"{self._path.name.removesuffix('.lock')} is in use by {holder or 'another process'}; "
                "stop that process, or talk to it with --url instead of opening its file"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} ({' '.join(sys.argv)[:120]})".encode("utf-8", "replace"))
        self._descriptor = descriptor
        _HELD.add(self)

    def release(self) -> None:
        """Let go. The file stays: removing it would race with the next process."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, 0)
            self.forget()

    def forget(self) -> None:
        """Close the file without letting go: what another process (the parent of a fork) holds stays held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


_HELD: WeakSet[FileLock] = WeakSet()
"""The locks of this process."""


def _forget_all() -> None:
    for lock in list(_HELD):
        lock.forget()


if hasattr(os, "register_at_fork"):
    # A child that a job forks (multiprocessing) would keep the lock beyond the death of this process.
    os.register_at_fork(after_in_child=_forget_all)


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _refuse_network_file_system(folder: Path) -> None:
    """SQLite's locking is not safe on network file systems; say so instead of losing data one day."""
    kind = file_system(folder.resolve(), _mounts())
    if kind in NETWORK_FILE_SYSTEMS:
        raise StoreError(
            f"{folder} is on a network file system ({kind}), where SQLite cannot keep its promises; "
            "name a local path in TRIGGER_STORE, or use PostgreSQL"
        )


def file_system(folder: Path, mounts: str) -> str | None:
    """The kind of file system a folder is on, by a table of mounts as Linux writes it; None when it is on none."""
    table = [line.split() for line in mounts.splitlines()]
    covering = [fields for fields in table if folder.is_relative_to(fields[1].replace("\\040", " "))]
    # The deepest mount covers the others, and of two in one place the later one does.
    return max(reversed(covering), key=lambda fields: len(fields[1]))[2] if covering else None


def _mounts() -> str:
    try:
        return Path("/proc/mounts").read_text("utf-8", "replace")
    except OSError:
        return ""  # not Linux: nothing to ask without extra tools
