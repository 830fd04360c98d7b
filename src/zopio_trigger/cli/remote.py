"""A server, asked over HTTP. Blocking and on the standard library alone: a command asks a question or two and ends, and
should not spend most of its time importing."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from zopio_trigger.cli.target import Teller
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
from zopio_trigger.model.views import EventView, JobView, LogView, ReceiptView, RunPage, RunView, ScheduleView
from zopio_trigger.transport.wire import Fault, Jobs, Lines, NewEvent, Schedules

T = TypeVar("T")

ANSWER_WITHIN: Final = 30.0  # seconds the server may take for an answer
SILENT_FOR: Final = 45.0  # seconds a stream may be silent: three of the server's heartbeats

_ERRORS: Final[Mapping[int, type[ZopioTriggerError]]] = {
    401: NotAuthorised,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    422: InvalidInput,
    503: StoreError,
}


class Channel:
    """A response that goes on for long, read in one thread and ended from another."""

    def __init__(self, response: http.client.HTTPResponse, connection: http.client.HTTPConnection) -> None:
        self.response = response
        self._connection = connection
        self._socket: socket.socket | None = connection.sock

    def end(self) -> None:
        """Let whoever reads come to the end. Closing alone would not wake a thread that waits for data."""
        if self._socket is not None:
            with suppress(OSError):  # the other side was faster
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connection; for the thread that reads, when it has come to the end."""
        self.response.close()
        self._connection.close()


class Remote:
    """The server at an address, with a key of one of its environments."""

    is_live = True

    def __init__(self, url: str, api_key: str) -> None:
        self.shown = url
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(f"{url!r} is no address of a server; write http://HOST:PORT")
        self._path = parts.path.rstrip("/")
        self._key = api_key
        kind = http.client.HTTPConnection if parts.scheme == "http" else http.client.HTTPSConnection
        self._connection = kind(parts.hostname, parts.port)

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    # --- events -----------------------------------------------------------------------------------------------------

    def send(self, event: NewEvent) -> ReceiptView:
        return self._ask("POST", "/events", ReceiptView, body=event)

    def event(self, event_id: str) -> EventView:
        return self._ask("GET", f"/events/{quote(event_id, safe='')}", EventView)

    # --- runs -------------------------------------------------------------------------------------------------------

    def run(self, run_id: str) -> RunView:
        return self._ask("GET", _run(run_id), RunView)

    def runs(
        self, *, status: Sequence[str] = (), job: str | None = None, since: str | None = None, limit: int = 50,
        cursor: str | None = None,
    ) -> RunPage:  # fmt: skip
        query = {
            "status": ",".join(status) or None,
            "job": job,
            "since": since,
            "limit": limit,
            "cursor": cursor,
        }
        return self._ask("GET", "/runs", RunPage, query=query)

    def logs(self, run_id: str, cursor: str | None = None) -> list[LogView]:
        return self._ask("GET", f"{_run(run_id)}/logs", Lines, query={"cursor": cursor}).lines

    def cancel(self, run_id: str) -> RunView:
        return self._ask("POST", f"{_run(run_id)}/cancel", RunView)

    def replay(self, run_id: str) -> RunView:
        return self._ask("POST", f"{_run(run_id)}/replay", RunView)

    def retry(self, run_id: str) -> RunView:
        return self._ask("POST", f"{_run(run_id)}/retry", RunView)

    # --- definitions ------------------------------------------------------------------------------------------------

    def jobs(self) -> list[JobView]:
        return self._ask("GET", "/jobs", Jobs).jobs

    def schedules(self, upcoming: int = 1) -> list[ScheduleView]:
        return self._ask("GET", "/schedules", Schedules, query={"upcoming": upcoming}).schedules

    # --- following --------------------------------------------------------------------------------------------------

    def follow(self, run_id: str | None, teller: Teller, *, within: float | None = None) -> Iterator[None]:
        from zopio_trigger.cli.stream import Stream

        path = "/follow" if run_id is None else f"{_run(run_id)}/stream"
        return Stream(self._open_stream, path, has_end=run_id is not None).tell(teller, within=within)

    def _open_stream(self, path: str, cursor: str | None) -> Channel:
        """Something to read server-sent events from, on a connection of its own."""
        remote = Remote(self.shown, self._key)
        response = remote._request("GET", path, {"cursor": cursor}, None, timeout=SILENT_FOR)
        if response.status >= 400:
            with remote:
                raise remote._error(response.status, remote._read(response))
        return Channel(response, remote._connection)

    def skew_seconds(self, now: int) -> float | None:
        """How many seconds the server's clock is ahead of the instant `now`; None when it does not say."""
        from email.utils import parsedate_to_datetime

        response = self._request("GET", "/jobs", {}, None)
        self._read(response)
        said = response.headers.get("date")
        return None if said is None else parsedate_to_datetime(said).timestamp() - now / 1_000_000

    # --- asking -----------------------------------------------------------------------------------------------------

    def _ask(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        query: Mapping[str, Any] | None = None,
        body: object = None,
    ) -> T:
        response = self._request(method, path, query or {}, body)
        data = self._read(response)
        if response.status >= 400:
            raise self._error(response.status, data)
        try:
            return msgspec.json.decode(data, type=kind)
        except msgspec.MsgspecError as error:
            raise self._not_ours(f"its answer to {path} is not understood: {error}") from error

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        body: object,
        *,
        timeout: float = ANSWER_WITHIN,
    ) -> http.client.HTTPResponse:
        given = urlencode({name: value for name, value in query.items() if value is not None})
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        data = None if body is None else msgspec.json.encode(body)
        self._connection.timeout = timeout
        try:
            self._connection.request(
                method, f"{self._path}/api/v3{path}{'?' * bool(given)}{given}", data, headers
            )
            return self._connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        try:
            return response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error

    def _error(self, status: int, data: bytes) -> ZopioTriggerError:
        try:
            message = msgspec.json.decode(data, type=Fault).message
        except msgspec.MsgspecError:
            return self._not_ours(f"it answered with status {status}")
        kind = _ERRORS.get(status, ZopioTriggerError)
        return kind(f"{message} (at {self.shown})" if kind is NotAuthorised else message)

    def _unreachable(self, error: Exception) -> Unreachable:
        # A connection that failed once is opened anew by the next request.
        self._connection.close()
        reason = _reason(error)
        return Unreachable(f'cannot reach {self.shown} ({reason}). Is "zopio-trigger dev app.py" running?')

    def _not_ours(self, reason: str) -> Unreachable:
        return Unreachable(f"{self.shown} is no zopio-trigger server, or one of another version: {reason}")


def _run(run_id: str) -> str:
    return f"/runs/{quote(run_id, safe='')}"


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, TimeoutError):
        return f"no answer within {ANSWER_WITHIN:g} s"
    if isinstance(error, socket.gaierror):
        return "there is no such host"
    return (
        (str(error) or type(error).__name__).removeprefix(f"[Errno {getattr(error, 'errno', '')}] ").lower()
    )
