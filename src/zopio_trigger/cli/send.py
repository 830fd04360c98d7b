"""`zopio-trigger send`: one event, and if asked what becomes of its runs."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Final

import click
from msgspec import UNSET, Raw

from zopio_trigger.cli.outcome import NOT_FOUND, REFUSED, TIMED_OUT, Failure
from zopio_trigger.cli.output import Format, document, format_of, is_terminal, json_options, remark, say
from zopio_trigger.cli.target import Target, open_target, target_options
from zopio_trigger.cli.waiting import TimeLimit, exit_code_of, wait_for
from zopio_trigger.cli.wording import instant, place_line, plural, run_line
from zopio_trigger.errors import InvalidInput
from zopio_trigger.model import json
from zopio_trigger.model.durations import SECOND_US, iso, parse_duration
from zopio_trigger.model.names import nearest
from zopio_trigger.model.views import ReceiptView, RunView, value
from zopio_trigger.transport.wire import NewEvent

LOOK_EVERY: Final = 0.25  # seconds between two looks whether a delayed event was delivered


@click.command()
@click.argument("name")
@click.argument("payload", metavar="[JSON|@FILE|-]", default="{}")
@click.option(
    "--id", "event_id", metavar="ID", help="Yours; the first event with an id stands, others start nothing."
)
@click.option("--delay", metavar="TIME", help="Start the runs so much later: 90, 30s, 10m, 1h30m, 2d.")
@click.option("--at", metavar="TIME", help="Start the runs then: 2026-01-31T09:00:00+03:00.")
@click.option("--context", metavar="JSON|@FILE", help="More JSON, handed to the job as ctx.event.context.")
@click.option("--wait", is_flag=True, help="Wait for the runs; the exit code is 1 unless all completed.")
@click.option("--timeout", metavar="TIME", help="With --wait: give up after so long, with exit code 7.")
@json_options
@target_options
def send(
    name: str, payload: str, event_id: str | None, delay: str | None, at: str | None, context: str | None,
    wait: bool, timeout: str | None, as_json: bool, jsonl: bool, url: str | None, api_key: str | None,
    store: str | None,
) -> None:  # fmt: skip
    """Send the event NAME with a JSON payload: as text, from a file, or from stdin (-)."""
    if timeout is not None and not wait:
        raise click.UsageError("--timeout is for --wait")
    if delay is not None and at is not None:
        raise click.UsageError("--delay and --at are given both; give one")
    format = format_of(as_json=as_json, jsonl=jsonl)
    event = NewEvent(
        name=name,
        payload=_json(payload, "the payload"),
        id=UNSET if event_id is None else event_id,
        context=UNSET if context is None else _json(context, "the context"),
        deliver_at=UNSET if at is None else iso(instant(at)),
        deliver_after=UNSET if delay is None else parse_duration(delay) / SECOND_US,
    )
    limit = TimeLimit(None if timeout is None else parse_duration(timeout) / SECOND_US)
    with open_target(url=url, api_key=api_key, store=store) as target:
        if wait and not target.is_live:
            raise Failure(
                f"no worker executes runs of {target.shown}, so there is nothing to wait for", REFUSED
            )
        receipt = target.send(event)
        if format == "text":
            _show(receipt, wait=wait)
        _remark_on(receipt, target, is_delayed=delay is not None or at is not None)
        runs = _wait(target, receipt, format, limit) if wait else []
    if format == "json":
        document({"event": receipt, "runs": runs} if wait else {"event": receipt})
    elif format == "jsonl" and not wait:
        document(receipt)
    if wait:
        sys.exit(exit_code_of(runs))


# --- the event


def _json(given: str, what: str) -> Raw:
    """What was given as JSON, through the same door as everything else."""
    if given == "-":
        text, where = sys.stdin.buffer.read(), "stdin"
    elif given.startswith("@"):
        text, where = _read(Path(given[1:])), given[1:]
    else:
        text, where = given.encode("utf-8", "surrogateescape"), ""
    try:
        return Raw(json.accept(text, what=what).encode())
    except InvalidInput as error:
        hint = (
            f" (read from {where})" if where else '; in a shell put it in single quotes: \'{"userId": "u1"}\''
        )
        raise InvalidInput(f"{error}{hint}", path=error.path) from error


def _read(file: Path) -> bytes:
    try:
        return file.expanduser().read_bytes()
    except OSError as error:
        raise click.UsageError(f"{file} cannot be read: {error.strerror or error}") from error


# --- the answer


def _show(receipt: ReceiptView, *, wait: bool) -> None:
    if not is_terminal():
        say(f"event\t{receipt.id}\t{receipt.name}")
    elif receipt.is_duplicate:
        say(f"event {receipt.id} {receipt.name}  is a duplicate and started nothing")
    else:
        say(f"event {receipt.id} {receipt.name}  started {plural(len(receipt.runs), 'run')}")
    if wait:
        return
    for run_id, job in zip(receipt.runs, receipt.jobs, strict=True):
        say(f"  {run_id}  {job}" if is_terminal() else f"run\t{run_id}\t{job}")


def _remark_on(receipt: ReceiptView, target: Target, *, is_delayed: bool) -> None:
    """Say what the sender may not expect: a duplicate, an event nobody listens to."""
    if receipt.is_duplicate:
        differs = ", and this one says something else" if receipt.payload_differs else ""
        remark(f"note: an event with id {receipt.id} was sent before{differs}; the first one stands")
    elif not receipt.runs and not is_delayed:
        remark(f"note: {_nobody_listens(receipt.name, target)}")


def _nobody_listens(name: str, target: Target) -> str:
    known = sorted({listened for job in target.jobs() for listened in value(job.trigger).get("names", ())})
    if name in known:
        return f"every job that listens to {name!r} filters this payload out"
    guess = nearest(name, known)
    if guess is not None:
        return f"no job listens to {name!r}; did you mean {guess!r}?"
    return f"no job listens to {name!r}; " + (
        f"there are {', '.join(known)}" if known else "no job is registered yet"
    )


# --- waiting


def _wait(target: Target, receipt: ReceiptView, format: Format, limit: TimeLimit) -> list[RunView]:
    """The runs of the event when they have ended, shown one by one."""
    runs: list[RunView] = []
    waited_for = f"event {receipt.id}"
    try:
        run_ids = receipt.runs or _delivered(target, receipt, limit)
        for run_id in run_ids:
            waited_for = f"run {run_id}"
            run = wait_for(target, run_id, within=limit.left())
            runs.append(run)
            show_ended(run, format)
    except TimeoutError:
        raise Failure(f"{waited_for} has not ended within {limit.seconds:g} s; it goes on all the same: "
                      "zopio-trigger runs list shows how", TIMED_OUT) from None  # fmt: skip
    if not runs:
        raise Failure(f"event {receipt.id} started no run, so there is nothing to wait for", NOT_FOUND)
    return runs


def _delivered(target: Target, receipt: ReceiptView, limit: TimeLimit) -> tuple[str, ...]:
    """The runs of an event that starts them later, or that was sent before."""
    pause = threading.Event()
    while True:
        event = target.event(receipt.id)
        if event.delivered_at is not None or event.cancelled_at is not None:
            return tuple([run.id for run in event.runs])
        if limit.left() == 0:
            raise TimeoutError
        pause.wait(LOOK_EVERY)


def show_ended(run: RunView, format: Format) -> None:
    """Show a run that was waited for."""
    if format == "jsonl":
        document(run)
    elif format == "text" and is_terminal():
        say(run_line(run))
        place = place_line(run)
        if place is not None:
            say(place)
    elif format == "text":
        say(f"run\t{run.id}\t{run.job}\t{run.status}")
