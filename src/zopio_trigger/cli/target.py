"""What a command talks to: a running server over HTTP, or the SQLite file of a server that does not run (`--store`).

Both answer with the views of `model/views.py`; commands cannot tell the difference.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import click

from zopio_trigger.config import connection_of
from zopio_trigger.errors import ConfigurationError
from zopio_trigger.model.views import (
    EventView,
    JobView,
    LogView,
    ReceiptView,
    RunPage,
    RunView,
    ScheduleView,
    TaskView,
)
from zopio_trigger.transport.wire import NewEvent

F = TypeVar("F", bound=Callable[..., Any])

TABLE: Final = "zopio-trigger"  # our part of pyproject.toml: [tool.zopio-trigger]
SETTINGS: Final = frozenset({"url", "api-key"})


class Teller(Protocol):
    """Whoever is told what happens to runs."""

    def run(self, run: RunView) -> None: ...

    def task(self, run_id: str, task: TaskView) -> None: ...

    def log(self, run_id: str, line: LogView) -> None: ...


class Target(AbstractContextManager["Target"], Protocol):
    """A platform, asked by one command. All methods block, and raise errors of `errors.py`."""

    shown: str  # its address, for messages
    is_live: bool  # runs are executed there

    def send(self, event: NewEvent) -> ReceiptView: ...

    def event(self, event_id: str) -> EventView: ...

    def run(self, run_id: str) -> RunView: ...

    def runs(
        self, *, status: Sequence[str] = (), job: str | None = None, since: str | None = None, limit: int = 50,
        cursor: str | None = None,
    ) -> RunPage:  # fmt: skip
        """Runs, newest first; `since` is an instant in ISO 8601."""

    def logs(self, run_id: str, cursor: str | None = None) -> list[LogView]: ...

    def cancel(self, run_id: str) -> RunView: ...

    def replay(self, run_id: str) -> RunView: ...

    def retry(self, run_id: str) -> RunView: ...

    def jobs(self) -> list[JobView]: ...

    def schedules(self, upcoming: int = 1) -> list[ScheduleView]: ...

    def follow(self, run_id: str | None, teller: Teller, *, within: float | None = None) -> Iterator[None]:
        """Tell what happens to a run until it has ended, or to all runs for ever. Yields whenever that was all for
        now.

        Parameters:
            within: seconds after which to give up.

        Raises:
            TimeoutError: they have passed.
        """


def target_options(command: F) -> F:
    """The options that say what to talk to, which a command gets as `url`, `api_key` and `store`."""
    command = click.option(
        "--store", metavar="FILE", help="Open this SQLite file itself; for when no server runs on it."
    )(command)
    command = click.option("--api-key", metavar="KEY", help="Key of the environment; else TRIGGER_API_KEY.")(
        command
    )
    return click.option("--url", metavar="URL", help="Address of the server; else TRIGGER_API_URL.")(command)


def open_target(*, url: str | None, api_key: str | None, store: str | None) -> Target:
    """What the options name; what they leave out comes from the environment, then from pyproject.toml.

    Raises:
        ConfigurationError: a setting is unknown or does not fit another one.
        NotFound: there is no such store.
    """
    if store is not None:
        from zopio_trigger.cli.local import Local

        if url is not None:
            raise click.UsageError("--store opens a file and --url talks to a server; give one")
        return Local(store, api_key)
    from zopio_trigger.cli.remote import Remote

    return Remote(*address(url, api_key))


def address(url: str | None, api_key: str | None) -> tuple[str, str]:
    """Address and key of the server to talk to."""
    configured = settings(Path.cwd())
    return connection_of(
        url or os.environ.get("TRIGGER_API_URL") or configured.get("url"),
        api_key or os.environ.get("TRIGGER_API_KEY") or configured.get("api-key"),
    )


def settings(folder: Path) -> dict[str, str]:
    """`[tool.zopio-trigger]` of the nearest pyproject.toml from this folder upwards."""
    file = next(_projects(folder), None)
    if file is None or TABLE not in (text := file.read_text("utf-8")):
        return {}
    import tomllib

    try:
        table = tomllib.loads(text).get("tool", {}).get(TABLE, {})
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file} cannot be read: {error}") from error
    for name, value in table.items():
        if name not in SETTINGS or not isinstance(value, str):
            raise ConfigurationError(
                f"{file}: [tool.{TABLE}] has {name} = {value!r}; it takes texts called {', '.join(sorted(SETTINGS))}"
            )
    return dict(table)


def _projects(folder: Path) -> Iterator[Path]:
    return (file for place in (folder, *folder.parents) if (file := place / "pyproject.toml").is_file())
