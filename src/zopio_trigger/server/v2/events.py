"""The 2.x API for events: send one or many, look at one, stop a delayed one, end the runs of one."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

import msgspec
from msgspec import Raw

from zopio_trigger.errors import Conflict
from zopio_trigger.model.commands import Receipt
from zopio_trigger.model.durations import iso
from zopio_trigger.model.states import is_final
from zopio_trigger.server.answers import Answer, json_answer
from zopio_trigger.server.bodies import V2_SEND, V2_SEND_BULK, check_count, delivery_of, request_of_v2
from zopio_trigger.server.calls import Call
from zopio_trigger.server.routes import Route
from zopio_trigger.server.v2.words import COARSE, NO_CONTEXT, EventAnswer, event_answer
from zopio_trigger.transport.ports import EventRequest

_DEPTH: Final = 2  # {"event": {"payload": …}}
_BULK_DEPTH: Final = 3  # {"events": [{"payload": …}]}


async def send(call: Call) -> Answer:
    """Record an event and start its runs; the first event with an id stands."""
    body = await call.body(V2_SEND, depth=_DEPTH)
    delivery = delivery_of(body.options, call.platform.clock.now())
    request = request_of_v2(body.event, delivery, "$.event")
    receipt = await call.desk.send_event(request)
    return json_answer(await _answer(call, request, receipt))


async def send_bulk(call: Call) -> Answer:
    """Record events in one transaction, in their order."""
    body = await call.body(V2_SEND_BULK, depth=_BULK_DEPTH, max_bytes=call.limits.bulk_bytes)
    check_count(body.events, call.limits.bulk_events)
    delivery = delivery_of(body.options, call.platform.clock.now())
    requests = [
        request_of_v2(event, delivery, f"$.events[{index}]") for index, event in enumerate(body.events)
    ]
    receipts = await call.desk.send_events(requests)
    if not any(receipt.is_duplicate for receipt in receipts):
        return json_answer(list(map(_fresh, requests, receipts)))
    pairs = zip(requests, receipts, strict=True)
    return json_answer(await asyncio.gather(*[_answer(call, request, receipt) for request, receipt in pairs]))


async def get(call: Call) -> Answer:
    """An event with its runs."""
    return json_answer(await call.desk.get_event(call.path[0]))


async def get_v1(call: Call) -> Answer:
    """The same with the statuses that SDKs before 2.3 know."""
    event = await call.desk.get_event(call.path[0])
    runs = [msgspec.structs.replace(run, status=COARSE.get(run.status, run.status)) for run in event.runs]
    return json_answer(msgspec.structs.replace(event, runs=tuple(runs)))


async def cancel(call: Call) -> Answer:
    """Stop a delayed event.

    One that was delivered already is answered as it stands, with `deliveredAt` and without `cancelledAt`: the 2.x
    SDK would repeat the request for ten seconds if it were answered 409.
    """
    event_id = call.path[0]
    with suppress(Conflict):  # the answer says it: deliveredAt is set, cancelledAt is not
        await call.desk.cancel_event(event_id)
    return json_answer(event_answer(await call.platform.reads.event_row(call.env_no, event_id)))


async def cancel_runs(call: Call) -> Answer:
    """End every run of an event that has not ended."""
    event = await call.desk.get_event(call.path[0])
    open_runs = [run.id for run in event.runs if not is_final(run.state)]
    outcomes = await asyncio.gather(*[_cancelled(call, run_id) for run_id in open_runs])
    return json_answer({
        "cancelledRunIds": [run_id for run_id, is_done in zip(open_runs, outcomes, strict=True) if is_done],
        "failedToCancelRunIds": [run_id for run_id, is_done in zip(open_runs, outcomes, strict=True) if not is_done],
    })  # fmt: skip


async def _cancelled(call: Call, run_id: str) -> bool:
    """False when the run ended by itself meanwhile."""
    try:
        await call.desk.cancel_run(run_id)
    except Conflict:
        return False
    return True


async def _answer(call: Call, request: EventRequest, receipt: Receipt) -> EventAnswer:
    """The event as it stands: the one just sent, or the first one with its id."""
    if not receipt.is_duplicate:
        return _fresh(request, receipt)
    return event_answer(await call.platform.reads.event_row(call.env_no, receipt.id))


def _fresh(request: EventRequest, receipt: Receipt) -> EventAnswer:
    """An event that was recorded just now, known without reading it back."""
    now = receipt.created_at
    deliver_at = now + (request.deliver_after or 0) if request.deliver_at is None else request.deliver_at
    recorded = iso(now)
    return EventAnswer(
        id=receipt.id,
        name=receipt.name,
        payload=Raw(request.payload.encode()),
        context=NO_CONTEXT if request.context is None else Raw(request.context.encode()),
        timestamp=recorded if request.timestamp is None else iso(request.timestamp),
        deliver_at=recorded if deliver_at == now else iso(deliver_at),
        delivered_at=recorded if deliver_at <= now else None,
        cancelled_at=None,
    )


ROUTES: Final = (
    Route("POST", "/api/v1/events", send),
    Route("POST", "/api/v1/events/bulk", send_bulk),
    Route("GET", "/api/v1/events/{id}", get_v1, is_shared=True),
    Route("GET", "/api/v2/events/{id}", get, is_shared=True),
    Route("POST", "/api/v1/events/{id}/cancel", cancel),
    Route("POST", "/api/v1/events/{id}/cancel-runs", cancel_runs),
)
