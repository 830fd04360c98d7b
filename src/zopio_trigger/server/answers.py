"""What goes back over HTTP: bodies with their headers, and errors in the words of `errors.py`."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, Protocol

import msgspec
from msgspec import UNSET
from starlette.types import Receive, Send

from zopio_trigger.errors import (
    Conflict,
    InvalidInput,
    NotAuthorised,
    NotFound,
    StoreError,
    TooLarge,
    ZopioTriggerError,
)
from zopio_trigger.transport.wire import Fault

Header = tuple[bytes, bytes]

STATUSES: Final[Mapping[type[BaseException], HTTPStatus]] = {
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    NotAuthorised: HTTPStatus.UNAUTHORIZED,
    StoreError: HTTPStatus.SERVICE_UNAVAILABLE,
    ZopioTriggerError: HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""Status by error; the nearest base class counts."""

INVALID_KEY: Final = "Invalid or Missing API key"  # the text of the 2.x server, which its tools may look for

_encode: Final = msgspec.json.Encoder().encode
_JSON_TYPE: Final[Header] = (b"content-type", b"application/json")
_NOT_STORED: Final[Header] = (b"cache-control", b"no-store")


class Reply(Protocol):
    """Something that answers a request."""

    async def send(self, receive: Receive, send: Send) -> None: ...


class Answer:
    """A body that is there as a whole."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, body: bytes, *, status: int = 200, headers: list[Header]) -> None:
        self.body = body
        self.status = status
        self.headers = headers

    async def send(self, receive: Receive, send: Send) -> None:
        headers = [*self.headers, (b"content-length", b"%d" % len(self.body))]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def json_answer(value: Any, status: int = 200) -> Answer:
    """A value as JSON."""
    return Answer(_encode(value), status=status, headers=[_JSON_TYPE, _NOT_STORED])


def error_answer(error: BaseException) -> Answer:
    """An error of `errors.py` as JSON, with its status."""
    status = next(STATUSES[base] for base in type(error).__mro__ if base in STATUSES)
    message = str(error)
    if isinstance(error, NotAuthorised):
        answer = json_answer(Fault(INVALID_KEY, message), status)
        answer.headers.append((b"www-authenticate", b"Bearer"))
        return answer
    path = error.path if isinstance(error, InvalidInput) and error.path else UNSET
    return json_answer(Fault(message, message, path), status)


def refusal(status: HTTPStatus, message: str, *headers: Header) -> Answer:
    """An error that only HTTP knows: an unknown path, a wrong method."""
    answer = json_answer(Fault(message, message), status)
    answer.headers += headers
    return answer
