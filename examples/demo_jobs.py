"""The app that `demo` runs: the jobs of the other examples, and one that is killed in the middle of a wait."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

# What is defined in these belongs to the same client, so importing them is all it takes.
from examples import send_welcome_email, sync_external_data, user_registration, weekly_report
from zopio_trigger import IO, client

__all__ = ["send_welcome_email", "sync_external_data", "user_registration", "weekly_report"]

LEDGER = Path(".zopio/demo-ledger.txt")


class Order(TypedDict):
    orderId: str


def write_down(what: str) -> str:
    """Stands for something that must not happen twice; leaves a line, so that one can count."""
    with LEDGER.open("a") as ledger:
        ledger.write(f"{what}\n")
    return what


@client.job(
    id="order-fulfilment",
    name="Order Fulfilment",
    version="1.0.0",
    trigger=client.triggers.event(name="order.placed"),
)
async def fulfil_order(payload: Order, io: IO) -> dict[str, str]:
    order = payload["orderId"]
    await io.logger.info("Order placed", {"orderId": order})
    charge = await io.run_task("charge-card", write_down, f"charged {order}")
    await io.wait("until-packed", seconds=4)
    shipment = await io.run_task("ship", write_down, f"shipped {order}")
    return {"charge": charge, "shipment": shipment}
