"""The native API for runs and their logs."""

from __future__ import annotations

from typing import Final

import msgspec

from zopio_trigger.errors import InvalidInput
from zopio_trigger.model.durations import instant_us, parse_duration
from zopio_trigger.model.views import RunPage, RunView
from zopio_trigger.server.answers import Answer, json_answer
from zopio_trigger.server.calls import Call
from zopio_trigger.server.routes import Field, Route
from zopio_trigger.transport.wire import CancelRun, Lines

MAX_REASON_LENGTH: Final = 1_000  # characters


_CANCEL: Final = msgspec.json.Decoder(CancelRun)


async def list_all(call: Call) -> Answer:
    page = await call.desk.list_runs(
        status=call.words("status"),
        job=call.word("job"),
        event_id=call.word("eventId"),
        since=_since(call),
        cursor=call.word("cursor"),
        limit=call.number("limit", 50),
    )
    return json_answer(page)


async def get(call: Call) -> Answer:
    return json_answer(await call.desk.get_run(call.path[0]))


async def logs(call: Call) -> Answer:
    lines = await call.desk.get_logs(
        call.path[0], cursor=call.word("cursor"), limit=call.number("limit", 500)
    )
    return json_answer(Lines(lines=lines))


async def cancel(call: Call) -> Answer:
    reason = (await call.body(_CANCEL, depth=0)).reason if call.has_body else ""
    if len(reason) > MAX_REASON_LENGTH:
        raise InvalidInput(
            f"the reason has {len(reason):,} characters; at most {MAX_REASON_LENGTH:,}", path="$.reason"
        )
    return json_answer(await call.desk.cancel_run(call.path[0], reason))


async def replay(call: Call) -> Answer:
    return json_answer(await call.desk.replay_run(call.path[0]))


async def retry(call: Call) -> Answer:
    return json_answer(await call.desk.retry_run(call.path[0]))


def _since(call: Call) -> int | None:
    """An instant (`2026-01-31T09:00:00Z`) or how long ago (`2h`)."""
    text = call.word("since")
    if text is None:
        return None
    if "T" in text:
        return instant_us(text, "query field 'since'")
    return call.platform.clock.now() - parse_duration(text)


ROUTES: Final = (
    Route(
        "GET", "/api/v3/runs", list_all, answer=RunPage,
        about="Runs, newest first, with the reason why they wait; without payloads, outputs and tasks.",
        query=(
            Field("status", "ready, executing, suspended, …, or queued, running, waiting, …", is_list=True),
            Field("job", "only runs of this job"),
            Field("eventId", "only runs of this event, by either of its ids"),
            Field("since", "only runs created since then: 2026-01-31T09:00:00Z, or 2h ago"),
            Field("cursor", "nextCursor of the page before"),
            Field("limit", "runs a page, 1 to 200; default 50", "integer"),
        ),
    ),
    Route(
        "GET", "/api/v3/runs/{id}", get, answer=RunView,
        about="A run with payload, output, tasks and attempts, and why it waits if it does.",
    ),
    Route(
        "GET", "/api/v3/runs/{id}/logs", logs, answer=Lines, about="Lines that a run wrote.",
        query=(
            Field("cursor", "cursor of the last line read"),
            Field("limit", "lines a page, 1 to 1,000; default 500", "integer"),
        ),
    ),
    Route(
        "POST", "/api/v3/runs/{id}/cancel", cancel, body=CancelRun, answer=RunView,
        about="End a run now; 409 when it has ended.",
    ),
    Route(
        "POST", "/api/v3/runs/{id}/replay", replay, answer=RunView,
        about="Start a finished run again, as a new run of the same event; 409 when it has not ended.",
    ),
    Route(
        "POST", "/api/v3/runs/{id}/retry", retry, answer=RunView,
        about="Continue a run that failed or was cancelled: finished tasks keep their results; 409 otherwise.",
    ),
)  # fmt: skip
