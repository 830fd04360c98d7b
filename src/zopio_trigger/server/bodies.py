"""Events in request bodies, 2.x and native, and their way into an `EventRequest`."""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from zopio_trigger.errors import InvalidInput, TooLarge
from zopio_trigger.model.durations import LONGEST_US, SECOND_US, duration_us, instant_us
from zopio_trigger.model.names import check_name
from zopio_trigger.model.trigger import DEFAULT_SOURCE
from zopio_trigger.transport.ports import EventRequest
from zopio_trigger.transport.wire import Body, NewEvent, NewEvents

NO_PAYLOAD: Final = "{}"  # what is stored where none was sent; a null that was sent stays null

MAX_PAYLOAD_CHARACTERS: Final = 3 * 3_145_728
"""Of one payload as it is stored: what 3 MB can become when every character has to be escaped."""


# --- 2.x


class V2Event(Body, frozen=True, kw_only=True):
    """An event as the 2.x SDK sends it."""

    name: str
    payload: Raw | UnsetType = UNSET
    context: Raw | UnsetType = UNSET
    id: str | UnsetType = UNSET
    timestamp: str | UnsetType = UNSET
    source: str = DEFAULT_SOURCE
    payload_type: Literal["JSON"] = "JSON"  # "REQUEST" is for HTTP endpoints, which are not served yet


class V2Options(Body, frozen=True, kw_only=True):
    """How it is to be delivered."""

    deliver_at: str | UnsetType = UNSET
    deliver_after: int | UnsetType = UNSET  # seconds
    account_id: str | UnsetType = UNSET


class V2Send(Body, frozen=True, kw_only=True):
    """Body of `POST /api/v1/events`."""

    event: V2Event
    options: V2Options = V2Options()


class V2SendBulk(Body, frozen=True, kw_only=True):
    """Body of `POST /api/v1/events/bulk`."""

    events: list[V2Event]
    options: V2Options = V2Options()


V2_SEND: Final = msgspec.json.Decoder(V2Send)
V2_SEND_BULK: Final = msgspec.json.Decoder(V2SendBulk)
NEW_EVENT: Final = msgspec.json.Decoder(NewEvent)
NEW_EVENTS: Final = msgspec.json.Decoder(NewEvents)


# --- into requests


class Delivery(Struct, frozen=True, gc=False):
    """The options of a 2.x request, which count for all of its events."""

    at: int | None
    after: int | None
    account: str | None


def delivery_of(options: V2Options, now: int) -> Delivery:
    """The options, checked. `now` is what a delivery may be at most ten years after. Raises `InvalidInput`."""
    return Delivery(
        _delivery(options.deliver_at, now, "$.options"),
        _delay_in_whole_seconds(options.deliver_after),
        _optional_name(options.account_id, "$.options", "accountId"),
    )


def request_of_v2(event: V2Event, delivery: Delivery, at: str) -> EventRequest:
    """What a 2.x client asks for.

    Parameters:
        at: JSON path of the event in the body, for errors.

    Raises:
        InvalidInput, TooLarge: something about it; `path` says where.
    """
    return EventRequest(
        name=_name(event.name, at, "name"),
        payload=_payload(event.payload, at),
        id=_optional_name(event.id, at, "id"),
        context=_optional_json(event.context),
        source=_source(event.source, at),
        timestamp=_instant(event.timestamp, at, "timestamp"),
        deliver_at=delivery.at,
        deliver_after=delivery.after,
        account=delivery.account,
    )


def request_of(event: NewEvent, now: int, at: str) -> EventRequest:
    """What a native client asks for.

    Parameters:
        now: the instant, which a delivery may be at most ten years after.
        at: JSON path of the event in the body, for errors.

    Raises:
        InvalidInput, TooLarge: something about it; `path` says where.
    """
    return EventRequest(
        name=_name(event.name, at, "name"),
        payload=_payload(event.payload, at),
        id=_optional_name(event.id, at, "id"),
        context=_optional_json(event.context),
        source=_source(event.source, at),
        timestamp=_instant(event.timestamp, at, "timestamp"),
        deliver_at=_delivery(event.deliver_at, now, at),
        deliver_after=_delay(event.deliver_after, at),
        is_test=event.is_test,
        account=_optional_name(event.account_id, at, "accountId"),
        job=_optional_name(event.job, at, "job") or "",
        origin_run=_optional_name(event.origin_run, at, "originRun"),
    )


def check_count(events: list[V2Event] | list[NewEvent], most: int) -> None:
    """Refuse more events than one call may bring."""
    if len(events) > most:
        raise TooLarge(
            f"{len(events):,} events in one call, and {most:,} are allowed; send them in several calls"
        )


def _name(text: str, at: str, field: str) -> str:
    try:
        return check_name(text, f"{at}.{field}")
    except InvalidInput as error:
        raise InvalidInput(str(error), path=f"{at}.{field}") from None


def _optional_name(text: str | UnsetType, at: str, field: str) -> str | None:
    return None if isinstance(text, UnsetType) else _name(text, at, field)


def _source(text: str, at: str) -> str:
    return text if text == DEFAULT_SOURCE else _name(text, at, "source")


def _payload(payload: Raw | UnsetType, at: str) -> str:
    if isinstance(payload, UnsetType):
        return NO_PAYLOAD
    text = bytes(payload).decode("ascii")  # the body came through the JSON door
    if len(text) > MAX_PAYLOAD_CHARACTERS:
        raise TooLarge(f"{at}.payload has more than 3 MB; keep large data elsewhere", path=f"{at}.payload")
    return text


def _optional_json(field: Raw | UnsetType) -> str | None:
    return None if isinstance(field, UnsetType) else bytes(field).decode("ascii")


def _instant(text: str | UnsetType, at: str, field: str) -> int | None:
    if isinstance(text, UnsetType):
        return None
    path = f"{at}.{field}"
    try:
        return instant_us(text, path)
    except InvalidInput as error:
        raise InvalidInput(str(error), path=path) from None


def _delivery(text: str | UnsetType, now: int, at: str) -> int | None:
    deliver_at = _instant(text, at, "deliverAt")
    if deliver_at is not None and deliver_at - now > LONGEST_US:
        raise InvalidInput(f"{at}.deliverAt is more than ten years ahead", path=f"{at}.deliverAt")
    return deliver_at


def _delay_in_whole_seconds(seconds: int | UnsetType) -> int | None:
    """2.x takes whole seconds, and a time in the past means now."""
    return None if isinstance(seconds, UnsetType) else _length(max(seconds, 0), "$.options")


def _delay(seconds: float | UnsetType, at: str) -> int | None:
    return None if isinstance(seconds, UnsetType) else _length(seconds, at)


def _length(seconds: float, at: str) -> int:
    path = f"{at}.deliverAfter"
    if seconds > LONGEST_US // SECOND_US:
        raise InvalidInput(f"{path} is longer than ten years; it counts seconds, not milliseconds", path=path)
    try:
        return duration_us(seconds, what=path)
    except InvalidInput as error:
        raise InvalidInput(str(error), path=path) from None
