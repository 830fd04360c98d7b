"""A fresh process that makes a store, sends one event and has one job done. Imports no more than that takes."""

from __future__ import annotations

import asyncio
import time

from msgspec import Struct

from benchmarks.memory import peak_kb
from benchmarks.process import answer, question
from benchmarks.stage import stage
from zopio_trigger import IO


class Asked(Struct):
    url: str


class Answer(Struct):
    done_at: int  # microseconds since the epoch
    peak_mb: float


async def greet(payload: dict[str, int], io: IO) -> dict[str, bool]:
    await io.run_task("greet", greeting)
    return {"ok": True}


async def greeting() -> str:
    return "hello"


async def main(asked: Asked) -> Answer:
    async with stage(asked.url, greet) as system:
        await system.send({"number": 0})
        await system.tally.reached("completed", 1)
        return Answer(time.time_ns() // 1000, peak_kb() / 1024)


if __name__ == "__main__":
    answer(asyncio.run(main(question(Asked))))
