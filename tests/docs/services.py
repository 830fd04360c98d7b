"""What the examples of the documentation call without defining it: the reader's own functions, and what they are given.

`EVENTS` has an example payload for every event that a job in the docs listens to.
"""

from __future__ import annotations

from itertools import cycle
from typing import Any, NamedTuple

# --- functions that the examples use


async def send_email(to: str, text: str = "") -> str:
    return f"{to}: {text}"


async def add_to_mailing_list(email: str) -> None: ...


async def charge_card(order_id: str, amount: int) -> str:
    return f"charge_{order_id}_{amount}"


async def charge_expired_card(customer_id: str) -> None:
    raise RuntimeError(f"the card of {customer_id} has expired")


async def load_orders(user_id: str) -> list[str]:
    return [f"{user_id}-1", f"{user_id}-2"]


def load_notes(user_id: str) -> list[str]:
    return []


async def fetch_page(url: str) -> str:
    return f"<h1>{url}</h1>"


async def ask_supplier(item: str) -> int:
    return len(item)


async def fetch_external_data(source: str) -> list[int]:
    return [1, 2, 3]


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str


_statuses = cycle([429, 200])


async def call_billing_api(invoice_id: str) -> Response:
    """Over its rate limit every other time."""
    return Response(next(_statuses), {"retry-after": "60"}, f"posted {invoice_id}")


async def ask_language_model(user_id: str) -> str:
    raise ConnectionError("the model is busy")


async def resize(image_id: str) -> None: ...


async def import_file(file_id: str) -> int:
    return 7


async def build_report(since: str | None, until: str) -> str:
    return f"https://example.com/reports/{until}"


async def ping() -> None: ...


async def start_machine(size: str) -> str:
    return f"machine-{size}"


async def stop_machine(machine: str) -> None: ...


async def transfer_money(invoice_id: str, *, idempotency_key: str) -> str:
    return idempotency_key


async def print_on_paper(invoice_id: str) -> None: ...


async def book_flight(trip: str) -> None: ...


async def book_hotel(trip: str) -> None: ...


async def cancel_flight(trip: str) -> None: ...


async def cancel_hotel(trip: str) -> None: ...


async def split_readers(handful: int) -> list[list[str]]:
    return [["ada@example.com", "bob@example.com"], ["cem@example.com"]]


async def send_newsletter_to(reader: str) -> None: ...


# --- what jobs are given

EVENTS: dict[str, dict[str, Any]] = {
    "cheque.approved": {"invoiceId": "inv_1"},
    "data.sync.requested": {"source": "acme", "dataType": "users"},
    "image.uploaded": {"imageId": "img_1"},
    "import.requested": {"fileId": "file_1", "customer": {"id": "customer_1"}},
    "invoice.approved": {"invoiceId": "inv_1"},
    "invoice.created": {"invoiceId": "inv_1"},
    "machine.wanted": {"size": "small", "hours": 8},
    "month.closed": {"month": "2026-01", "email": "ada@example.com"},
    "newsletter.written": {"newsletterId": "letter_1"},
    "order.billed": {"orderId": "order_7", "email": "ada@example.com"},
    "order.shipped": {"orderId": "order_7", "amount": 4200},
    "pages.requested": {"urls": ["https://example.com/a", "https://example.com/b"]},
    "password.forgotten": {"email": "ada@example.com"},
    "quote.requested": {"item": "tea"},
    "subscription.expired": {"customerId": "customer_1"},
    "trip.requested": {"tripId": "trip_1"},
    "user.created": {"userId": "user_123", "email": "ada@example.com"},
}
"""By event name."""

DEATHS = {"print-cheque": "print"}
"""By job, the task after whose body the process is killed, because the example is about that."""

TASKS = {
    "book-trip": ["book-flight", "book-hotel", "charge-card", "cancel-hotel", "cancel-flight"],
    "greet-user": ["write-greeting"],
    "print-cheque": ["print", "ask"],
    "renew-subscription": ["charge"],
    "renew-subscription/on-failure": ["mail"],
    "send-newsletter": ["split", "send / 0"],
    "stop-abandoned-machine": ["stop"],
}
"""By job, the tasks that its runs are to have: these examples could complete without showing what they are about."""

REQUESTS: list[tuple[str, str, dict[str, str]]] = [("POST", "/users", {"email": "ada@example.com"})]
"""What is asked of a web app in the docs: method, path, body."""
