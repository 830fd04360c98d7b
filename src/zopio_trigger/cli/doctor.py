"""`zopio-trigger doctor`: what an installation needs, looked at one by one, each fault with what to do about it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

import click

from zopio_trigger import __version__
from zopio_trigger.cli.outcome import FAILED
from zopio_trigger.cli.output import document, documents, format_of, json_options, say
from zopio_trigger.cli.remote import Remote
from zopio_trigger.cli.target import address
from zopio_trigger.cli.wording import now, plural
from zopio_trigger.config import LOCAL_KEY, store_url
from zopio_trigger.errors import InvalidInput, NotAuthorised, Unreachable, ZopioTriggerError
from zopio_trigger.model.names import parse_api_key

Verdict = Literal["ok", "warning", "fault"]

SIGNS: Final = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "fault": ("✕", "red")}
LABEL: Final = 12
OLDEST_SQLITE: Final = (3, 38)  # json_each and RETURNING as we use them
FIXED_SQLITE: Final = (3, 51, 3)  # a rare fault in the WAL when two connections write; ours has one writer
MOST_SKEW_SECONDS: Final = 5
ROOM_WANTED: Final = 500 * 1024 * 1024  # bytes


class Finding(NamedTuple):
    """What one look found."""

    what: str
    verdict: Verdict
    text: str
    fix: str = ""


@click.command()
@json_options
@click.option("--url", metavar="URL", help="Address of the server; else TRIGGER_API_URL.")
@click.option("--api-key", metavar="KEY", help="Key of the environment; else TRIGGER_API_KEY.")
def doctor(as_json: bool, jsonl: bool, url: str | None, api_key: str | None) -> None:
    """Look for what is wrong with this installation; the exit code is 1 when something is."""
    format = format_of(as_json=as_json, jsonl=jsonl)
    findings: list[Finding] = []
    for finding in _findings(url, api_key):
        findings.append(finding)
        if format == "text":
            _show(finding)
    if format == "json":
        document({"findings": [finding._asdict() for finding in findings]})
    elif format == "jsonl":
        documents(finding._asdict() for finding in findings)
    if any(finding.verdict == "fault" for finding in findings):
        sys.exit(FAILED)


def _show(finding: Finding) -> None:
    sign, colour = SIGNS[finding.verdict]
    say(f"{click.style(sign, fg=colour)} {finding.what:<{LABEL}}{finding.text}")
    if finding.fix:
        say(f"  {'':<{LABEL}}{click.style(finding.fix, dim=True)}")


def _findings(url: str | None, api_key: str | None) -> Iterator[Finding]:
    looks: tuple[Callable[[], Finding], ...] = (_python, _sqlite, _loop, _zones, _store)
    for look in looks:
        yield look()
    key = _key(api_key)
    yield key
    if key.verdict != "fault":
        yield from _server(url, api_key)


# --- this machine


def _python() -> Finding:
    version = (
        f"Python {platform.python_version()}, zopio-trigger {__version__}, {platform.platform(terse=True)}"
    )
    return Finding("python", "ok", version)


def _sqlite() -> Finding:
    import sqlite3

    shown = f"SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        wanted = ".".join(map(str, OLDEST_SQLITE))
        return Finding("sqlite", "fault", shown, f"use a Python that comes with SQLite {wanted} or newer")
    if sqlite3.sqlite_version_info < FIXED_SQLITE:
        return Finding(
            "sqlite", "ok", f"{shown} (older than the WAL fix of 3.51.3, which one writer does not need)"
        )
    return Finding("sqlite", "ok", f"{shown} (has the WAL fix of 3.51.3)")


def _loop() -> Finding:
    from importlib.util import find_spec

    if find_spec("uvloop") is not None:
        return Finding("event loop", "ok", "uvloop")
    return Finding("event loop", "ok", "asyncio; pip install 'zopio-trigger[fast]' is faster")


def _zones() -> Finding:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo("Europe/Istanbul")
    except ZoneInfoNotFoundError:
        return Finding("time zones", "fault", "the zone database is missing", "pip install tzdata")
    return Finding("time zones", "ok", "the zone database is here")


def _store() -> Finding:
    from zopio_trigger.composition import open_store
    from zopio_trigger.model.clock import SystemClock

    url = store_url()
    try:
        open_store(url, SystemClock())
    except ZopioTriggerError as error:
        return Finding("store", "fault", str(error), "set TRIGGER_STORE to sqlite:///PATH")
    file = Path(url.removeprefix("sqlite:///")).expanduser()
    if not file.exists():
        return _place_of_new_store(file)
    return _store_file(file)


def _place_of_new_store(file: Path) -> Finding:
    folder = next(parent for parent in file.absolute().parents if parent.exists())
    if not os.access(folder, os.W_OK):
        return Finding(
            "store", "fault", f"{folder} cannot be written to", "name another path in TRIGGER_STORE"
        )
    return Finding("store", "ok", f"{file} is not there yet; it will be made")


def _store_file(file: Path) -> Finding:
    import shutil

    from zopio_trigger.composition import holder_of

    size = sum(part.stat().st_size for part in file.parent.glob(f"{file.name}*"))
    room = shutil.disk_usage(file.parent).free
    shown = f"{file}, {size / 1_048_576:.1f} MB, {room / 1_073_741_824:.1f} GB free"
    holder = holder_of(file)
    shown += f", in use by {holder}" if holder is not None else ""
    if not os.access(file, os.W_OK):
        return Finding("store", "fault", f"{file} cannot be written to", f"chmod u+w {file}")
    if room < ROOM_WANTED:
        return Finding(
            "store", "warning", shown, "make room on the disk: when it is full nothing can be stored"
        )
    return Finding("store", "ok", shown)


# --- the platform


def _key(given: str | None) -> Finding:
    key = given or os.environ.get("TRIGGER_API_KEY")
    if key is None:
        return Finding("key", "ok", f"TRIGGER_API_KEY is not set; development takes {LOCAL_KEY}")
    try:
        name = parse_api_key(key)
    except InvalidInput as error:
        return Finding(
            "key", "fault", str(error), "copy the key again, or unset TRIGGER_API_KEY for development"
        )
    return Finding("key", "ok", f"TRIGGER_API_KEY is a key of {name.environment}")


def _server(url: str | None, api_key: str | None) -> Iterator[Finding]:
    try:
        shown, key = address(url, api_key)
        with Remote(shown, key) as remote:
            jobs = remote.jobs()
            skew = remote.skew_seconds(now())
    except Unreachable as error:
        yield Finding("server", "warning", str(error), "start one: zopio-trigger dev app.py")
        return
    except NotAuthorised as error:
        yield Finding("server", "fault", str(error), "give the server's key in TRIGGER_API_KEY")
        return
    except ZopioTriggerError as error:
        yield Finding("server", "fault", str(error))
        return
    yield Finding("server", "ok", f"{shown} answers")
    yield _clock_skew(skew)
    served = sum(job.is_served for job in jobs)
    if jobs and not served:
        yield Finding(
            "worker", "warning", "none serves any of the jobs", "start one: zopio-trigger dev app.py"
        )
    else:
        yield Finding("worker", "ok", f"{served} of {plural(len(jobs), 'job')} are served")


def _clock_skew(seconds: float | None) -> Finding:
    if seconds is None:
        return Finding("clock", "warning", "the server does not say what time it has")
    if abs(seconds) > MOST_SKEW_SECONDS:
        where = "ahead of" if seconds > 0 else "behind"
        return Finding(
            "clock", "warning", f"the server is {abs(seconds):.0f} s {where} this machine", "set both by NTP"
        )
    return Finding("clock", "ok", "agrees with the server's")
