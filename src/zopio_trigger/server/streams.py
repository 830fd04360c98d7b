"""Server-sent events: what followers of runs hear, as it happens.

Each client has a queue of its own, which does not grow: a client that reads too slowly loses what it has not read
and is told to look again (`resync`). So a stalled client costs a thousand rows, and nobody waits for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import msgspec
from starlette.types import Receive, Send

from zopio_trigger.model.clock import Clock
from zopio_trigger.platform.news import News
from zopio_trigger.server.answers import Header

MAX_UNREAD: Final = 1_000  # pieces of news a client may lag behind
HEARTBEAT_US: Final = 15_000_000  # proxies cut connections that are silent for half a minute or more
RECONNECT_AFTER_MS: Final = 2_000

_HEADERS: Final[list[Header]] = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold the lines back
]
_encode: Final = msgspec.json.Encoder().encode


def frame(kind: str, value: Any, *, cursor: str | None = None) -> bytes:
    """One event of the stream. JSON has no raw line breaks, so it is always one line of data."""
    place = b"" if cursor is None else b"id: %s\n" % cursor.encode()
    return b"%sevent: %s\ndata: %s\n\n" % (place, kind.encode(), _encode(value))


class Follower:
    """One client's queue of news.

    Parameters:
        clock: for the heartbeat.
        wants: which news it wants; called for every one, so it must be quick.
    """

    def __init__(self, *, clock: Clock, wants: Callable[[News], bool]) -> None:
        self.is_closed = False
        self._clock = clock
        self._wants = wants
        self._unread: deque[News] = deque()
        self._dropped = 0
        self._woken = asyncio.Event()

    def hear(self, news: News) -> None:
        """Take news in. Never blocks, never raises."""
        if not self._wants(news):
            return
        if len(self._unread) >= MAX_UNREAD:
            self._dropped += len(self._unread)
            self._unread.clear()
        self._unread.append(news)
        self._woken.set()

    def close(self) -> None:
        """End the stream: the client went away, or the server stops."""
        self.is_closed = True
        self._woken.set()

    async def read(self) -> tuple[list[News], int]:
        """Wait for news. Returns them, and how many were lost before them; neither when it was only silent for a
        heartbeat, or is closed."""
        alarm = self._clock.call_at(self._clock.now() + HEARTBEAT_US, self._woken.set)
        try:
            await self._woken.wait()
        finally:
            alarm.cancel()
        self._woken.clear()
        news, self._unread = list(self._unread), deque()
        dropped, self._dropped = self._dropped, 0
        return news, dropped


class Streams:
    """All open streams, so that a server that stops can end them; it would wait for them otherwise."""

    def __init__(self) -> None:
        self._open: set[Follower] = set()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._open)

    def add(self, follower: Follower) -> None:
        self._open.add(follower)
        if self._is_closed:
            follower.close()

    def remove(self, follower: Follower) -> None:
        self._open.discard(follower)

    def close(self) -> None:
        """End all streams, and every new one at once."""
        self._is_closed = True
        for follower in self._open:
            follower.close()


class Stream:
    """The answer that goes on: frames until the follower is closed.

    Parameters:
        frames: makes the frames; ends when there will be no more.
        follower: closed when the client goes away.
        done: called at the end, however it comes.
    """

    def __init__(self, frames: AsyncIterator[bytes], *, follower: Follower, done: Callable[[], None]) -> None:
        self._frames = frames
        self._follower = follower
        self._done = done

    async def send(self, receive: Receive, send: Send) -> None:
        watch = asyncio.ensure_future(_until_gone(receive, self._follower))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
            await self._send_body(send, b"retry: %d\n\n" % RECONNECT_AFTER_MS)
            async for text in self._frames:
                await self._send_body(send, text)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._done()
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch

    @staticmethod
    async def _send_body(send: Send, text: bytes) -> None:
        await send({"type": "http.response.body", "body": text, "more_body": True})


async def _until_gone(receive: Callable[[], Awaitable[Any]], follower: Follower) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass  # the rest of a body nobody asked for
    follower.close()
