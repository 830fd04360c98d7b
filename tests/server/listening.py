"""A client of server-sent events, talking ASGI itself: it reads when told to, and goes away when told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from tests.stage import KEY, Stage


class Heard(NamedTuple):
    """One event of the stream."""

    kind: str
    data: Any
    id: str | None


class Listener:
    """What a client has heard so far."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.comments = 0
        self.is_over = False
        self.may_read = asyncio.Event()  # cleared: the client reads nothing, and the server has to wait
        self.may_read.set()
        self._heard: asyncio.Queue[Heard] = asyncio.Queue()
        self._leave = asyncio.Event()
        self._has_asked = False
        self._buffer = ""

    async def next(self, kind: str | None = None) -> Heard:
        """The next event, or the next of a kind, passing over others."""
        async with asyncio.timeout(5):
            while (heard := await self._heard.get()).kind not in (kind, kind or heard.kind):
                pass
        return heard

    def leave(self) -> None:
        """Close the connection from the client's side."""
        self._leave.set()

    async def receive(self) -> MutableMapping[str, Any]:
        if not self._has_asked:
            self._has_asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._leave.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        await self.may_read.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        self._buffer += message["body"].decode()
        *frames, self._buffer = self._buffer.split("\n\n")
        for frame in frames:
            self._take(frame)

    def _take(self, frame: str) -> None:
        fields = dict(line.split(": ", 1) for line in frame.splitlines() if not line.startswith(":"))
        self.comments += frame.startswith(":")
        if "event" in fields:
            self._heard.put_nowait(Heard(fields["event"], json.loads(fields["data"]), fields.get("id")))


@asynccontextmanager
async def listening(site: Stage, path: str, **headers: str) -> AsyncIterator[Listener]:
    """Follow a stream until the block is left; it must end by itself or when the client leaves."""
    listener = Listener()
    path, _, query = path.partition("?")
    given = {"host": "127.0.0.1", "authorization": f"Bearer {KEY}", **headers}
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }  # fmt: skip
    serving = asyncio.create_task(site.app(scope, listener.receive, listener.send))
    serving.add_done_callback(lambda _: setattr(listener, "is_over", True))
    yield listener
    listener.leave()
    listener.may_read.set()
    async with asyncio.timeout(5):
        await serving
