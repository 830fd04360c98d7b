"""What `dev` says when it is ready: where things are, which jobs there are, what to try."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

import click
import msgspec
from msgspec import Struct

from zopio_trigger import __version__
from zopio_trigger.cli.wording import clock, local, nearer, now, plural, trigger_text
from zopio_trigger.model.durations import to_datetime
from zopio_trigger.model.trigger import EventTrigger
from zopio_trigger.model.views import JobView, RunView, ScheduleView
from zopio_trigger.sdk.example import example
from zopio_trigger.sdk.job import JobDefinition

LABEL: Final = 12  # cells of the words on the left
A_WEEK: Final = timedelta(days=6)  # within which the name of a day says which one
MOST_JOBS: Final = 12  # named; more are counted


class Banner(Struct, kw_only=True):
    """The facts of a `dev` that is ready."""

    url: str
    key_shown: str
    store: str
    app: str
    jobs: Sequence[JobView]
    definitions: Sequence[JobDefinition]
    schedules: Sequence[ScheduleView]
    waiting: Sequence[RunView]
    more_waiting: bool
    watches: Path | None
    width: int

    def lines(self) -> list[str]:
        """The banner."""
        return [
            "",
            f"  {click.style(f'zopio-trigger {__version__}', bold=True)}",
            _labelled("dashboard", self.url),
            _labelled("api", f"{self.url}/api   key {self.key_shown}"),
            _labelled("store", f"{self.store} (kept between restarts)"),
            *self._job_lines(),
            *self._waiting_lines(),
            *self._hints(),
            "",
        ]

    def _job_lines(self) -> list[str]:
        count = f"{len(self.jobs)} from {self.app}"
        if not self.jobs:
            return [_labelled("jobs", f"none yet from {self.app}")]
        texts = [self._job(job) for job in self.jobs[:MOST_JOBS]]
        if len(self.jobs) > MOST_JOBS:
            texts.append(f"… and {len(self.jobs) - MOST_JOBS} more (zopio-trigger jobs list)")
        on_one_line = "   ".join([count, *texts])
        if len(on_one_line) + LABEL + 2 <= self.width:
            return [_labelled("jobs", on_one_line)]
        return [_labelled("jobs", count), *[_labelled("", text) for text in texts]]

    def _job(self, job: JobView) -> str:
        schedule = next((one for one in self.schedules if one.job == job.id), None)
        if schedule is None or schedule.next_at is None:
            return f"{job.id} ({trigger_text(job)})"
        words = f"{schedule.text[:1].lower()}{schedule.text[1:]}"
        return f"{job.id} ({words}, next {_moment(schedule.next_at)})"

    def _waiting_lines(self) -> list[str]:
        if not self.waiting:
            return []
        times = [run.waiting_reason.until for run in self.waiting if run.waiting_reason is not None]
        earliest = min((at for at in times if at is not None), default=None)
        count = plural(len(self.waiting), "run") if not self.more_waiting else f"{len(self.waiting)}+ runs"
        return [
            _labelled("waiting", f"{count} waiting" + (f", next at {_moment(earliest)}" if earliest else ""))
        ]

    def _hints(self) -> list[str]:
        reload = "reload off" if self.watches is None else f"reload on   {nearer_folder(self.watches)}"
        parts = [reload, "Ctrl+C stops"]
        first = next((job for job in self.definitions if isinstance(job.trigger, EventTrigger)), None)
        if first is not None and isinstance(first.trigger, EventTrigger):
            payload = msgspec.json.encode(example(first.json_schema() or {})).decode()
            parts.append(
                f"try: zopio-trigger send {shlex.quote(first.trigger.names[0])} {shlex.quote(payload)}"
            )
        on_one_line = "  ·  ".join(parts)
        return [f"  {on_one_line}"] if len(on_one_line) + 2 <= self.width else [f"  {part}" for part in parts]


def nearer_folder(folder: Path) -> str:
    """A folder as it is called from here."""
    return "." if folder == Path.cwd() else nearer(str(folder))


def _labelled(label: str, text: str) -> str:
    return f"  {click.style(f'{label:<{LABEL}}', dim=True)}{text}"


def _moment(at: str) -> str:
    """`20:14:00` today, `Tue 09:00:00` in the coming days, with its date later."""
    today = to_datetime(now()).astimezone()
    moment = local(at)
    if moment.date() == today.date():
        return clock(at)
    return f"{moment:%a %H:%M:%S}" if moment - today < A_WEEK else f"{moment:%Y-%m-%d %H:%M:%S}"
