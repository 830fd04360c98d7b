"""Asking a platform over HTTP: connections, tries and pauses, and what went wrong in the words of `errors.py`.

httpx2 is imported with the first request, for `import zopio_trigger` is to stay light.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from zopio_trigger.errors import (
    ConfigurationError,
    Conflict,
    InvalidInput,
    NotAuthorised,
    NotFound,
    StoreError,
    TooLarge,
    Unreachable,
    ZopioTriggerError,
)
from zopio_trigger.model.clock import Clock
from zopio_trigger.transport.wire import Fault

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")

TRIES: Final = 4  # of one request: the first, and three more within about a second
FIRST_PAUSE_SECONDS: Final = 0.2  # before the second try, doubling with each, times a factor from 0.5 to 1
CONNECT_WITHIN_SECONDS: Final = 5.0
ANSWER_WITHIN_SECONDS: Final = 30.0
KEEP_IDLE_SECONDS: Final = (
    4.0  # our server closes idle connections after 5: using one must not race with that
)
MAX_CONNECTIONS: Final = 20

_NOT_NOW: Final = frozenset({
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
})  # fmt: skip
"""Statuses that another try may not meet again."""

_ERRORS: Final[Mapping[int, type[ZopioTriggerError]]] = {
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.SERVICE_UNAVAILABLE: StoreError,
}
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Connection:
    """The way to one platform. For one event loop: the first to ask.

    Parameters:
        url, key: of the platform and of one of its environments.
        clock, chance: for the pauses between tries.
        transport: what carries requests in place of the network, for tests.
    """

    def __init__(
        self, url: str, key: str, *, clock: Clock, chance: random.Random,
        transport: httpx2.AsyncBaseTransport | None,
    ) -> None:  # fmt: skip
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(
                f"{url!r} is no address of a platform; set TRIGGER_API_URL to http://HOST:PORT"
            )
        self._url = url.rstrip("/")
        self._key = key
        self._is_local = parts.hostname in _LOOPBACK
        self._clock = clock
        self._random = chance
        self._transport = transport
        self._client: httpx2.AsyncClient | None = None
        self._process = 0

    async def ask(
        self, kind: type[T], method: str, path: str, *, query: Mapping[str, str | None] | None = None,
        body: object = None, is_repeatable: bool = True,
    ) -> tuple[T, int]:  # fmt: skip
        """Ask until there is an answer, at most four times.

        Parameters:
            kind: what the answer is.
            path: below `/api/v3`, quoted.
            query: fields; those that are None are left out.
            body: sent as JSON.
            is_repeatable: False when a second request would do something else than the first; it is then only
                repeated when the first one cannot have arrived.

        Returns the answer, and how often was asked for it.

        Raises:
            Unreachable: there was no answer, or not one of a platform of ours.
            StoreError: the platform cannot store or read at the moment.
            ZopioTriggerError: and its other kinds; what the platform said.
        """
        for tried in range(1, TRIES + 1):
            try:
                response = await self._send(method, path, query or {}, body)
            except _Lost as lost:
                if tried == TRIES or not (is_repeatable or lost.was_never_sent):
                    raise self._unreachable(lost) from lost.__cause__
            else:
                if not (response.status_code in _NOT_NOW and is_repeatable) or tried == TRIES:
                    return self._read(kind, response), tried
            await self._clock.sleep(self._pause(tried))
        raise AssertionError("the last try answers or raises")

    async def close(self) -> None:
        """Close all connections; asking again opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    # --- asking -----------------------------------------------------------------------------------------------

    async def _send(
        self, method: str, path: str, query: Mapping[str, str | None], body: object
    ) -> httpx2.Response:
        import httpx2

        fields = {name: value for name, value in query.items() if value is not None}
        content = None if body is None else msgspec.json.encode(body)
        try:
            return await self._opened().request(method, f"/api/v3/{path}", params=fields, content=content)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise _Lost(_why(error), was_never_sent=True) from error
        except httpx2.TransportError as error:
            raise _Lost(_why(error), was_never_sent=False) from error

    def _opened(self) -> httpx2.AsyncClient:
        """The pool of connections; a new one in a forked process, which must not use its parent's sockets."""
        import httpx2

        if self._client is None or self._process != os.getpid():
            self._process = os.getpid()
            self._client = httpx2.AsyncClient(
                base_url=self._url,
                headers={"authorization": f"Bearer {self._key}", "content-type": "application/json"},
                timeout=httpx2.Timeout(ANSWER_WITHIN_SECONDS, connect=CONNECT_WITHIN_SECONDS),
                limits=httpx2.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=KEEP_IDLE_SECONDS),
                trust_env=not self._is_local,  # a proxy has no business between us and this machine
                transport=self._transport,
            )
        return self._client

    def _pause(self, tried: int) -> float:
        return FIRST_PAUSE_SECONDS * 2.0 ** (tried - 1) * (0.5 + self._random.random() / 2)

    # --- what came back ---------------------------------------------------------------------------------------

    def _read(self, kind: type[T], response: httpx2.Response) -> T:
        if response.status_code != HTTPStatus.OK:
            raise self._error(response)
        try:
            return msgspec.json.decode(response.content, type=kind)
        except msgspec.DecodeError as error:
            raise self._foreign(f"its answer is not understood ({error})") from error

    def _error(self, response: httpx2.Response) -> ZopioTriggerError:
        status = response.status_code
        try:
            fault = msgspec.json.decode(response.content, type=Fault)
        except msgspec.DecodeError:
            return self._foreign(f"it answered with status {status}")
        if status == HTTPStatus.UNAUTHORIZED:
            return NotAuthorised(f"{self._url}: {fault.message}")
        if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
            return InvalidInput(fault.message, path=fault.path or "")
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return TooLarge(fault.message, path=fault.path or "")
        return _ERRORS.get(status, ZopioTriggerError)(fault.message)

    def _unreachable(self, lost: _Lost) -> Unreachable:
        return Unreachable(f'cannot reach {self._url} ({lost}). Is "zopio-trigger dev app.py" running?')

    def _foreign(self, reason: str) -> Unreachable:
        return Unreachable(
            f"{self._url} is not a zopio-trigger platform, or one of another version: {reason}; check TRIGGER_API_URL"
        )


class _Lost(Exception):
    """There was no answer."""

    def __init__(self, reason: str, *, was_never_sent: bool) -> None:
        super().__init__(reason)
        self.was_never_sent = was_never_sent


def _why(error: Exception) -> str:
    """The reason in a few words; httpx2 wraps the operating system's error twice."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused"
        cause = cause.__cause__ or cause.__context__
    import httpx2

    if isinstance(error, httpx2.ConnectTimeout):
        return f"no connection within {CONNECT_WITHIN_SECONDS:g} s"
    if isinstance(error, httpx2.TimeoutException):
        return f"no answer within {ANSWER_WITHIN_SECONDS:g} s"
    return str(error) or "connection lost"
