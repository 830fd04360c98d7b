"""Where stores are made: a fresh folder for every repetition, on the disk of the repository unless another is named."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

REPOSITORY = Path(__file__).resolve().parent.parent
DEFAULT_PARENT = REPOSITORY / "build" / "benchmarks"
MEMORY = "sqlite:///:memory:"


@dataclass(frozen=True, slots=True)
class Spot:
    """One fresh folder and the address of the store to use."""

    folder: Path
    url: str


class Place:
    """Hands out fresh folders.

    Parameters:
        url: None for SQLite files on the repository's disk. `sqlite:///FOLDER/NAME` puts the fresh folders into
            FOLDER instead. Any other address is used as it is, with an environment of its own for each repetition.
    """

    def __init__(self, url: str | None = None) -> None:
        self._url = url
        is_file = url is not None and url.startswith("sqlite:///") and url != MEMORY
        self.parent = Path(url.removeprefix("sqlite:///")).parent if url and is_file else DEFAULT_PARENT
        self.is_sqlite_file = url is None or is_file

    @property
    def shown(self) -> str:
        """The store for people to read, without passwords."""
        if self.is_sqlite_file or self._url is None:
            return f"a fresh SQLite file under {self._nearby(self.parent)}"
        parts = urlsplit(self._url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    @contextlib.contextmanager
    def fresh(self) -> Iterator[Spot]:
        """An empty folder, gone afterwards, and the address of a store that nobody else uses."""
        self.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.parent) as name:
            folder = Path(name)
            url = f"sqlite:///{folder / 'bench.db'}" if self.is_sqlite_file else self._url or MEMORY
            yield Spot(folder, url)

    @staticmethod
    def _nearby(path: Path) -> str:
        """The path as seen from the repository, when it is inside."""
        path = path.absolute()
        return f"{path.relative_to(REPOSITORY)}/" if path.is_relative_to(REPOSITORY) else str(path)
