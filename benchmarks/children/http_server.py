"""A server with one job, reached over HTTP. Says where it is; ends when its input does."""

from __future__ import annotations

import asyncio
import sys

from msgspec import Struct

from benchmarks.contest import sequential
from benchmarks.process import answer, question
from benchmarks.stage import stage
from zopio_trigger.server.run import HttpServer


class Asked(Struct):
    url: str
    api_key: str


class Answer(Struct):
    host: str
    port: int


async def main(asked: Asked) -> None:
    async with stage(asked.url, sequential(1), api_key=asked.api_key) as system:
        server = HttpServer(system.system.platform, port=0)
        await server.start()
        answer(Answer(server.host, server.port))
        await asyncio.to_thread(sys.stdin.read)
        await server.stop()


if __name__ == "__main__":
    asyncio.run(main(question(Asked)))
