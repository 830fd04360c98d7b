"""Events as users give them, checked and encoded: the request that goes to the platform."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from zopio_trigger.model import json
from zopio_trigger.model.durations import duration_us, instant_us
from zopio_trigger.model.names import check_name
from zopio_trigger.model.trigger import DEFAULT_SOURCE
from zopio_trigger.transport.ports import EventRequest


def event_request(
    name: str, payload: object = None, *, id: str | None = None, context: object = None,
    source: str = DEFAULT_SOURCE, timestamp: datetime | str | None = None,
    deliver_at: datetime | str | None = None,
    deliver_after: float | timedelta | Mapping[str, float] | None = None,
    account_id: str | None = None, is_test: bool = False,
) -> EventRequest:  # fmt: skip
    """Check an event and encode its payload. Raises `InvalidInput` that names what is wrong."""
    return EventRequest(
        name=check_name(name, "event name"),
        payload=json.encode(payload, what="payload"),
        id=None if id is None else check_name(id, "event id"),
        context=None if context is None else json.encode(context, what="context"),
        source=source if source == DEFAULT_SOURCE else check_name(source, "event source"),
        timestamp=None if timestamp is None else instant_us(timestamp, "timestamp"),
        deliver_at=None if deliver_at is None else instant_us(deliver_at, "deliver_at"),
        deliver_after=None if deliver_after is None else duration_us(deliver_after, what="deliver_after"),
        account=None if account_id is None else check_name(account_id, "account id"),
        is_test=is_test,
    )
