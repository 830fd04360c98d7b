"""Sends events over HTTP as fast as the server takes them: bare sockets, so that the sender is not what is measured."""

from __future__ import annotations

import asyncio
import time

import msgspec
from msgspec import Struct

from benchmarks.contest import EVENT_NAME
from benchmarks.process import answer, question

END_OF_HEAD = b"\r\n\r\n"
LENGTH = b"content-length: "


class Asked(Struct):
    host: str
    port: int
    api_key: str
    requests: int
    events_a_request: int  # 1: one by one; more: in bulk
    connections: int


class Answer(Struct):
    events_per_s: float


class Line(asyncio.Protocol):
    """A keep-alive connection on which one request follows the other."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._received = bytearray()
        self._wanted = 0  # bytes of the response, once its head has told
        self._answered: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._wanted and (end := self._received.find(END_OF_HEAD)) >= 0:
            self._wanted = end + len(END_OF_HEAD) + _length_in(bytes(self._received[:end]))
        if self._wanted and len(self._received) >= self._wanted:
            self._finish()

    def connection_lost(self, error: Exception | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error or ConnectionError("the server closed the connection"))

    async def post(self, request: bytes) -> None:
        """Send a request; return when the whole response is there. Raises when it is not a 200."""
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        await self._answered

    def close(self) -> None:
        self._transport.close()

    def _finish(self) -> None:
        response, self._received, self._wanted = self._received, bytearray(), 0
        answered = self._answered
        assert answered is not None
        if response.startswith(b"HTTP/1.1 200"):
            answered.set_result(None)
        else:
            answered.set_exception(RuntimeError(f"the server answered {bytes(response[:500])!r}"))


async def main(asked: Asked) -> Answer:
    loop = asyncio.get_running_loop()
    lines = [
        (await loop.create_connection(Line, asked.host, asked.port))[1] for _ in range(asked.connections)
    ]
    request = _request(asked)
    await asyncio.gather(*(line.post(request) for line in lines))  # warm, and known to the gate
    numbers = iter(range(asked.requests))

    async def sender(line: Line) -> None:
        for _ in numbers:
            await line.post(request)

    began = time.perf_counter()
    await asyncio.gather(*(sender(line) for line in lines))
    seconds = time.perf_counter() - began
    for line in lines:
        line.close()
    return Answer(asked.requests * asked.events_a_request / seconds)


def _request(asked: Asked) -> bytes:
    event = {"name": EVENT_NAME, "payload": {"number": 1}}
    is_bulk = asked.events_a_request > 1
    body = msgspec.json.encode({"events": [event] * asked.events_a_request} if is_bulk else event)
    head = (
        f"POST /api/v3/events{'/bulk' if is_bulk else ''} HTTP/1.1\r\nHost: {asked.host}:{asked.port}\r\n"
        f"Authorization: Bearer {asked.api_key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _length_in(head: bytes) -> int:
    place = head.lower().find(LENGTH)
    if place < 0:
        raise RuntimeError(f"a response without a length: {head!r}")
    return int(head[place + len(LENGTH) :].split(b"\r\n", 1)[0])


if __name__ == "__main__":
    answer(asyncio.run(main(question(Asked))))
