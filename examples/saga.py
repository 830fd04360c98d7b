"""Book a trip, or undo what was booked: each step has a compensation, run in reverse order when a later step fails.

Run it with everything in this process:

    python examples/saga.py
"""

from __future__ import annotations

import asyncio
from typing import TypedDict

from zopio_trigger import IO, Retry, TaskFailed, client, send_event
from zopio_trigger.composition import embedded
from zopio_trigger.model.views import value

UNTIL_IT_WORKS = Retry(max_attempts=1_000, max_timeout_in_ms=600_000)  # an undo must not be given up


class Trip(TypedDict):
    tripId: str
    card: str


class Outcome(TypedDict):
    booked: bool
    undone: list[str]
    reason: str | None


async def book(what: str, trip_id: str) -> str:
    """Stands for a booking service; returns the number of the booking."""
    print(f"booked the {what}")
    return f"{what}-{trip_id}"


async def cancel(booking: str) -> None:
    # It may run twice when the process dies at the wrong moment, so cancelling twice has to be harmless.
    print(f"cancelled {booking}")


async def charge(card: str) -> None:
    if card == "expired":
        raise ValueError("the card has expired")
    print("charged the card")


@client.job(
    id="book-trip",
    name="Book Trip",
    version="1.0.0",
    trigger=client.triggers.event(name="trip.requested"),
)
async def book_trip(payload: Trip, io: IO) -> Outcome:
    bookings: list[str] = []
    try:
        for what in ("flight", "hotel", "car"):
            booking = await io.run_task(f"book-{what}", book, what, payload["tripId"])
            bookings.append(booking)
        await io.run_task("charge-card", charge, payload["card"])
    except TaskFailed as failure:
        await io.logger.warn("Undoing the trip", {"because": failure.error_message})
        for booking in reversed(bookings):
            await io.run_task(f"cancel-{booking}", cancel, booking, retry=UNTIL_IT_WORKS)
        return {"booked": False, "undone": bookings[::-1], "reason": failure.error_message}
    return {"booked": True, "undone": [], "reason": None}


async def main() -> None:
    async with embedded(client) as platform:
        for card in ("4242", "expired"):
            receipt = await send_event("trip.requested", {"tripId": f"trip_{card}", "card": card})
            run = await platform.ended(receipt.runs[0])
            print(f"{run.job} {run.status} {value(run.output)}")


if __name__ == "__main__":
    asyncio.run(main())
