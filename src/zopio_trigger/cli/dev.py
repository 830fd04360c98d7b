"""`zopio-trigger dev`: platform, server and worker in one process, for one app that is being written."""

from __future__ import annotations

import importlib
import ipaddress
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from zopio_trigger.config import LOCAL_KEY, store_url
from zopio_trigger.errors import ConfigurationError
from zopio_trigger.model.durations import SECOND_US, parse_duration

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from zopio_trigger.cli.development import Development

LEVELS: Final = ("debug", "info", "warning", "error")
SQLITE: Final = "sqlite:///"


@click.command()
@click.argument("app")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=3030, show_default=True, help="0 takes any free one."
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Others than this machine need a key to be set."
)
@click.option(
    "--store", metavar="FILE|URL", help="Where runs are kept; else TRIGGER_STORE, else .zopio/dev.db."
)
@click.option(
    "--slots",
    type=click.IntRange(1, 100_000),
    default=200,
    show_default=True,
    envvar="TRIGGER_SLOTS",
    help="Runs that execute at once; waiting ones take none.",
)
@click.option(
    "--retention",
    metavar="TIME",
    default="30d",
    show_default=True,
    envvar="TRIGGER_RETENTION",
    help="How long runs are kept after their end, or `forever`.",
)
@click.option("--no-reload", is_flag=True, help="Do not import the app again when its files change.")
@click.option(
    "--drain-timeout",
    metavar="TIME",
    default="30s",
    show_default=True,
    help="Time for runs to finish at Ctrl+C.",
)
@click.option(
    "--log-level", type=click.Choice(LEVELS), help="Of all log records; default warning, ours info."
)
@click.option("--open", "open_page", is_flag=True, help="Open the dashboard in a browser.")
def dev(
    app: str, port: int, host: str, store: str | None, slots: int, retention: str, no_reload: bool,
    drain_timeout: str, log_level: str | None, open_page: bool,
) -> None:  # fmt: skip
    """Run APP (app.py, pkg.mod or pkg.mod:client) here: server and worker in one process, reloaded on save.

    Runs are kept in SQLite between restarts. Ctrl+C lets running ones finish; pressed again it stops at once, and they
    go on at the next start.
    """
    from zopio_trigger.cli.app import App
    from zopio_trigger.cli.development import Development, Settings
    from zopio_trigger.cli.terminal import Terminal, log_to

    settings = Settings(
        host=_allowed(host),
        port=port,
        store=_store(store),
        api_key=os.environ.get("TRIGGER_API_KEY") or LOCAL_KEY,
        slots=slots,
        retention=None if retention == "forever" else parse_duration(retention),
        reloads=not no_reload,
        drain_seconds=parse_duration(drain_timeout) / SECOND_US,
        opens_page=open_page,
    )
    terminal = Terminal()
    log_to(terminal, log_level)
    try:
        code = _run(Development(App(app, Path.cwd()), settings, terminal))
    finally:
        terminal.close()
    if any(thread.name.startswith("zopio-job") for thread in threading.enumerate()):
        os._exit(code)  # a thread of user code that does not end would keep the process for ever
    sys.exit(code)


def _run(development: Development) -> int:
    """Run it on the fastest loop there is."""
    import asyncio

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(development.run())


def _loop_factory() -> Callable[[], AbstractEventLoop] | None:
    """uvloop's, where it is installed."""
    try:
        factory: Callable[[], AbstractEventLoop] = importlib.import_module("uvloop").new_event_loop
    except ImportError:
        return None
    return factory


def _allowed(host: str) -> str:
    """The host, unless it would open a server to others with a key that everybody knows."""
    try:
        is_local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_local = False
    if not is_local and not os.environ.get("TRIGGER_API_KEY"):
        raise ConfigurationError(
            f"--host {host} lets other machines in, and the key {LOCAL_KEY} is no secret; set TRIGGER_API_KEY to one, "
            "such as tr_dev_ and twenty random letters"
        )
    return host


def _store(given: str | None) -> str:
    """The address of the store, also when only a path is given."""
    if given is None:
        return store_url()
    return given if "://" in given else f"{SQLITE}{given}"
