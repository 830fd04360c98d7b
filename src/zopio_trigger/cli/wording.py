"""How runs, tasks and log lines are put into words: one line each, the same wherever a command shows them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from msgspec import Raw, Struct, UnsetType
from msgspec.structs import replace

from zopio_trigger.model.durations import ago, humanize, instant_us, to_datetime
from zopio_trigger.model.states import RUN_STATES
from zopio_trigger.model.views import JobView, LogView, RunView, TaskView, value

SCHEDULED: Final = "dev.trigger.scheduled"  # name of the events that schedules send
LONGEST_DATA: Final = 200  # characters of a log line's data that are shown
MILLISECOND: Final = 1_000

SIGNS: Final[Mapping[str, tuple[str, str]]] = {
    "ready": ("▸", "cyan"),
    "executing": ("◐", "blue"),
    "suspended": ("⏾", "magenta"),
    "completed": ("✓", "green"),
    "failed": ("✕", "red"),
    "timed_out": ("⧖", "red"),
    "cancelled": ("⊘", "yellow"),
    "invalid_payload": ("≠", "red"),
    "crashed": ("⚡", "red"),
}
"""Sign and colour of a run's state."""

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and new line

LEVEL_COLOURS: Final[Mapping[str, str]] = {
    "debug": "bright_black",
    "info": "cyan",
    "warn": "yellow",
    "error": "red",
}


class StoredError(Struct):
    """What is read of a stored error."""

    type: str = "Error"
    message: str = ""
    at: str | None = None
    task: str | None = None
    traceback: str | None = None


def sign(status: str) -> str:
    """The sign of a run's state, in its colour."""
    mark, colour = SIGNS[status]
    return click.style(mark, fg=colour)


def error_of(field: Raw | UnsetType) -> StoredError | None:
    """The error in a view, when there is one."""
    return None if isinstance(field, UnsetType) else msgspec.json.decode(field, type=StoredError)


def outcome(run: RunView) -> str:
    """How a run ended, or how it is: `completed in 12 ms`, `failed in 3.1 s   RuntimeError: …`, `waiting: …`."""
    word = RUN_STATES[run.status].people
    if not RUN_STATES[run.status].final:
        return f"{word}: {run.waiting_reason.text}" if run.waiting_reason is not None else word
    text = word if run.duration_ms is None else f"{word} in {length(run.duration_ms)}"
    error = error_of(run.error)
    return text if error is None else f"{text}   {first_line(error)}{_where_failed(run, error)}"


def run_line(run: RunView) -> str:
    """A run and how it ended: `✓ run_… send-welcome-email  completed in 12 ms`."""
    return f"{sign(run.status)} {run.id} {run.job}  {outcome(run)}"


def counted_from(run: RunView, at: str) -> RunView:
    """The run as if it had begun then: of one that was retried, people want to know how long that took."""
    if run.finished_at is None:
        return run
    return replace(run, duration_ms=(instant(run.finished_at) - instant(at)) / MILLISECOND)


def place_line(run: RunView) -> str | None:
    """Where in the user's code a run failed: `  app.py:14 in send_email`."""
    error = error_of(run.error)
    if error is None:
        return None
    task = failed_task(run, error)
    of_task = error_of(task.error) if task is not None else None
    at = of_task.at if of_task is not None and of_task.at is not None else error.at
    return None if at is None else f"  {nearer(at)}"


def failed_task(run: RunView, error: StoredError) -> TaskView | None:
    """The task whose failure ended a run."""
    return next((task for task in run.tasks if task.state == "failed" and task.key == error.task), None)


def first_line(error: StoredError) -> str:
    """`RuntimeError: mail server down`."""
    message = error.message.strip().splitlines()
    return plain(f"{error.type}: {message[0]}" if message else error.type)


def task_line(task: TaskView) -> str | None:
    """What became of a task, or None while there is nothing to tell."""
    error = error_of(task.error)
    match task.state:
        case "completed":
            return f"{click.style('✓', fg='green')} {task.key}  {_took(task)}"
        case "failed":
            attempts = f" (attempt {task.attempt} of {task.max_attempts})" if task.max_attempts > 1 else ""
            return f"{click.style('✕', fg='red')} {task.key}  {first_line(error or StoredError())}{attempts}"
        case "waiting" if error is not None and task.due_at is not None:
            number = f"attempt {task.attempt - 1} of {task.max_attempts} failed"
            return (
                f"{click.style('↻', fg='yellow')} {task.key}  {number}: {first_line(error)}; "
                f"again at {clock(task.due_at)}"
            )
        case _:
            return None


def log_line(line: LogView) -> str:
    """`INFO  Sending welcome email  userId=user_123`."""
    level = click.style(f"{line.level.upper():<5}", fg=LEVEL_COLOURS.get(line.level))
    data = value(line.data)
    fields = "  ".join(f"{name}={_inline(field)}" for name, field in data.items()) if data else ""
    cut = plain(fields if len(fields) <= LONGEST_DATA else f"{fields[:LONGEST_DATA]}…")
    message = plain(line.message).replace("\n", "\n  │         ")
    return f"{level} {message}  {click.style(cut, dim=True)}" if cut else f"{level} {message}"


def trigger_text(job: JobView | None) -> str:
    """What starts a job: `event user.created`, `cron 0 9 * * 1`, `every 5 m`."""
    return "" if job is None else trigger_words(value(job.trigger))


def trigger_words(trigger: Mapping[str, Any]) -> str:
    """The same from a trigger as it is stored."""
    match trigger.get("type"):
        case "event":
            return f"event {', '.join(trigger['names'])}"
        case "schedule" if trigger.get("cron"):
            zone = trigger.get("timezone", "UTC")
            return f"cron {trigger['cron']}" + ("" if zone == "UTC" else f" {zone}")
        case "schedule":
            return f"every {humanize(trigger['seconds'] * 1_000_000)}"
        case _:
            return "invoke"


def started_by(run: RunView, jobs: Mapping[str, JobView]) -> str:
    """What started a run: the name of its event, or the schedule of its job."""
    if run.event_name is not None and run.event_name != SCHEDULED:
        return run.event_name
    return trigger_text(jobs.get(run.job)).removeprefix("event ") or "schedule"


def length(milliseconds: float) -> str:
    """A length of time for people."""
    return humanize(int(milliseconds * MILLISECOND))


def instant(text: str) -> int:
    """An instant of a view, in microseconds."""
    return instant_us(text, "an instant of the server")


def now() -> int:
    """The instant, in microseconds."""
    from zopio_trigger.model.clock import (
        SystemClock,  # brings asyncio: only what is shown relative to now pays for it
    )

    return SystemClock().now()


def age(text: str) -> str:
    """How long ago an instant of a view was, or how far ahead it is: `8 s ago`, `in 3 h`."""
    return ago(instant(text), now())


def clock(text: str, *, milliseconds: bool = False) -> str:
    """An instant on the clock of this machine: `20:16:02`."""
    moment = local(text)
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}" if milliseconds else f"{moment:%H:%M:%S}"


def local(text: str) -> datetime:
    """An instant of a view in the time zone of this machine."""
    return to_datetime(instant(text)).astimezone()


def nearer(place: str) -> str:
    """A place in a file, its path shortened when it is below the current folder."""
    try:
        here = f"{Path.cwd()}{os.sep}"
    except FileNotFoundError:  # the folder was deleted under us
        return place
    return place.removeprefix(here)


def plain(text: str) -> str:
    """Text of a user, or of a user's users, that cannot steer the terminal: control characters are shown instead."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def plural(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _where_failed(run: RunView, error: StoredError) -> str:
    if error.task is None:
        return ""
    task = failed_task(run, error)
    attempts = f", {task.attempt} attempts" if task is not None and task.attempt > 1 else ""
    return f" (task {error.task}{attempts})"


def _took(task: TaskView) -> str:
    if task.finished_at is None:
        return ""
    if task.kind == "wait":
        return f"waited {humanize(instant(task.finished_at) - instant(task.created_at))}"
    return humanize(
        max(instant(task.finished_at) - instant(task.started_at), 1)
    )  # "<1 ms" rather than "0 ms"


def _inline(field: object) -> str:
    """A value of a log line's data: text as it is, anything else as JSON."""
    return field if isinstance(field, str) else msgspec.json.encode(field).decode()
