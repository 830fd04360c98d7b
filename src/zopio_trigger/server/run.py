"""Serving over HTTP inside an event loop that is somebody else's: no signal handlers, no `sys.exit`."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
from collections.abc import Iterator
from typing import Any, Final

import uvicorn

from zopio_trigger.errors import ConfigurationError
from zopio_trigger.platform.platform import Platform
from zopio_trigger.server.app import LOOPBACK_HOSTS, create_app
from zopio_trigger.server.calls import DEFAULT_LIMITS, BodyLimits

PORT: Final = 3030
BACKLOG: Final = 2_048  # connections that may wait to be accepted
STOP_WITHIN_SECONDS: Final = 5  # for requests that are under way


class HttpServer:
    """A platform's HTTP server.

    Parameters:
        platform: started by whoever made it, and stopped after this server.
        host: address to listen on, default `127.0.0.1`; `localhost` is that and `::1`. On a loopback address the
            page at `/` lists the runs, and only the names of this machine are answered to.
        port: 1 to 65535, default 3030; 0 takes any free one.
        limits: what a request may bring.
    """

    def __init__(
        self,
        platform: Platform,
        *,
        host: str = "127.0.0.1",
        port: int = PORT,
        limits: BodyLimits = DEFAULT_LIMITS,
    ) -> None:
        self.host = host
        self.port = port
        is_local = _is_loopback(host)
        self.app = create_app(
            platform, hosts=LOOPBACK_HOSTS if is_local else None, shows_runs=is_local, limits=limits
        )
        self._server: _Uvicorn | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """The address it is reached at from this machine."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def start(self) -> None:
        """Listen. Requests are answered when this returns.

        Raises:
            ConfigurationError: the port is taken or not allowed, or the host is no address of this machine.
        """
        listeners = _listeners(self.host, self.port)
        self.port = listeners[0].getsockname()[1]
        self._server = _Uvicorn(_config(self.app))
        self._serving = asyncio.create_task(self._server.serve(listeners))
        ready = asyncio.ensure_future(self._server.ready.wait())
        await asyncio.wait((ready, self._serving), return_when=asyncio.FIRST_COMPLETED)
        if self._serving.done():
            ready.cancel()
            await self._serving  # raises what kept it from starting

    async def stop(self) -> None:
        """End all streams, answer what is under way (for at most 5 seconds), close."""
        if self._server is None or self._serving is None:
            return
        self.app.state.streams.close()
        self._server.should_exit = True
        await self._serving
        self._server = self._serving = None


class _Uvicorn(uvicorn.Server):
    """uvicorn that leaves the signals of the process alone and says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


def _config(app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=STOP_WITHIN_SECONDS,
    )


def _listeners(host: str, port: int) -> list[socket.socket]:
    """What to listen on. `localhost` is both loopback addresses, because clients differ in which one they try; the
    second one only if this machine has it and its port is free."""
    if host.lower() != "localhost":
        return [_listen(host, port)]
    first = _listen("127.0.0.1", port)
    with contextlib.suppress(ConfigurationError):
        return [first, _listen("::1", first.getsockname()[1])]
    return [first]


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket. It is made with its protocol named, because asyncio switches Nagle's algorithm off only for
    sockets that say TCP: answers of two writes would wait 40 ms for the acknowledgement of the first."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, _, _, address = found[0]
        listener = socket.socket(family, kind, socket.IPPROTO_TCP)
    except OSError as error:
        raise ConfigurationError(_why_not(host, port, error)) from error
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(_why_not(host, port, error)) from error
    return listener


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use; stop the process that has it, or choose another with --port"
    if error.errno == errno.EACCES:
        return f"port {port} needs the rights of an administrator; choose one from 1024 on with --port"
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"{host!r} is no address of this machine; choose one with --host, such as 127.0.0.1 or 0.0.0.0"
    return f"cannot listen on {host} port {port}: {error}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
