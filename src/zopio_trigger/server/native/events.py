"""The native API for events."""

from __future__ import annotations

from typing import Final

from zopio_trigger.model.views import EventView, ReceiptView
from zopio_trigger.platform.rendering import receipt_view
from zopio_trigger.server.answers import Answer, json_answer
from zopio_trigger.server.bodies import NEW_EVENT, NEW_EVENTS, check_count, request_of
from zopio_trigger.server.calls import Call
from zopio_trigger.server.routes import Route
from zopio_trigger.transport.wire import NewEvent, NewEvents, Receipts

_BULK_DEPTH: Final = 3  # {"events": [{"payload": …}]}


async def send(call: Call) -> Answer:
    body = await call.body(NEW_EVENT, depth=1)
    request = request_of(body, call.platform.clock.now(), "$")
    return json_answer(receipt_view(await call.desk.send_event(request)))


async def send_bulk(call: Call) -> Answer:
    body = await call.body(NEW_EVENTS, depth=_BULK_DEPTH, max_bytes=call.limits.bulk_bytes)
    check_count(body.events, call.limits.bulk_events)
    now = call.platform.clock.now()
    requests = [request_of(event, now, f"$.events[{index}]") for index, event in enumerate(body.events)]
    receipts = await call.desk.send_events(requests)
    return json_answer(Receipts(receipts=[receipt_view(receipt) for receipt in receipts]))


async def get(call: Call) -> Answer:
    return json_answer(await call.desk.get_event(call.path[0]))


async def cancel(call: Call) -> Answer:
    return json_answer(await call.desk.cancel_event(call.path[0]))


ROUTES: Final = (
    Route(
        "POST", "/api/v3/events", send, body=NewEvent, answer=ReceiptView,
        about="Send an event: record it and start its runs. The first event with an id stands.",
    ),
    Route(
        "POST", "/api/v3/events/bulk", send_bulk, body=NewEvents, answer=Receipts,
        about="Send up to 1,000 events in one transaction: all are recorded, or none.",
    ),
    Route(
        "GET", "/api/v3/events/{id}", get, answer=EventView,
        about="An event, by the id its sender gave or ours, and the runs it started.",
    ),
    Route(
        "POST", "/api/v3/events/{id}/cancel", cancel, answer=EventView,
        about="Stop a delayed event; 409 when it was delivered already.",
    ),
)  # fmt: skip
