"""Which files of an app change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

SETTLED_AFTER_MS: Final = 100  # without a further change: editors write a file in several steps
LONGEST_MS: Final = 1_000  # that changes are gathered for
IGNORED_FOLDERS: Final = (".zopio", "venv", "env", "site-packages")


async def changes_in(folder: Path) -> AsyncIterator[set[Path]]:
    """The Python files below a folder that changed, each time some did.

    Raises:
        OSError: the folder cannot be watched, for example because the system watches too many files already.
    """
    from watchfiles import PythonFilter, awatch

    wanted = PythonFilter()
    wanted.ignore_dirs = (*wanted.ignore_dirs, *IGNORED_FOLDERS)
    async for changes in awatch(folder, watch_filter=wanted, step=SETTLED_AFTER_MS, debounce=LONGEST_MS):
        yield {Path(path) for _, path in changes}
