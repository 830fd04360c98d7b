"""A process to be killed: serves jobs on a SQLite file, sends itself events, and tells a side file what it did.

Each line of the side file is one appended write, so what a killed process said is there: `sent ID` after an event was
acknowledged, `begin RUN TASK INSTANT` before a body does anything, `idle` when nothing is left to do.

    python -m tests.acceptance.victim STORE SIDE_FILE SEED (send|finish)
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

from zopio_trigger import IO, Context, Retry, TriggerClient
from zopio_trigger.composition import System, open_store
from zopio_trigger.model.clock import SystemClock
from zopio_trigger.storage.port import RunQuery

client = TriggerClient("victim")
OPEN_STATES = ("ready", "executing", "suspended")


class SideFile:
    """What must be known of a killed process. Bypasses every buffer of ours."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def say(self, *words: object) -> None:
        os.write(self._descriptor, (" ".join(map(str, words)) + "\n").encode())


side: SideFile


async def body(run_id: str, task: str, seconds: float, result: int) -> int:
    side.say("begin", run_id, task, time.time_ns() // 1000)
    await asyncio.sleep(seconds)
    return result


@client.job(id="chain", trigger=client.triggers.event(name="chain"))
async def chain(payload: dict[str, Any], io: IO, ctx: Context) -> int:
    total = 0
    for number in range(5):
        total += await io.run_task(f"t{number}", body, ctx.run.id, f"t{number}", 0.004, payload["n"] + number)
    return total


@client.job(id="fan", trigger=client.triggers.event(name="fan"))
async def fan(payload: dict[str, Any], io: IO, ctx: Context) -> int:
    parts = await asyncio.gather(
        *(
            io.run_task(("part", number), body, ctx.run.id, f"part / {number}", 0.001 * (number % 3), number)
            for number in range(6)
        )
    )
    await io.wait("rest", seconds=0.05)
    last = await io.run_task("last", body, ctx.run.id, "last", 0.002, payload["n"])
    return sum(parts) + last


async def shaky(run_id: str, task: str, marks: str) -> str:
    """Fails the first two times it is called in the life of a run, wherever that was."""
    side.say("begin", run_id, task, time.time_ns() // 1000)
    mark = Path(marks) / run_id
    tries = mark.stat().st_size if mark.exists() else 0
    with mark.open("a") as file:
        file.write("x")
    if tries < 2:
        raise RuntimeError("not yet")
    return "done"


@client.job(id="shaky", trigger=client.triggers.event(name="shaky"), concurrency=5)
async def retried(payload: dict[str, Any], io: IO, ctx: Context) -> str:
    retry = Retry(max_attempts=20, min_timeout_in_ms=5, max_timeout_in_ms=10)
    return await io.run_task("try", shaky, ctx.run.id, "try", payload["marks"], retry=retry)


async def send(system: System, chance: random.Random, marks: Path) -> None:
    """Send events until killed."""
    number = 0
    while True:
        name = chance.choice(("chain", "fan", "shaky"))
        receipt = await client.send_event(name, {"n": number, "marks": str(marks)})
        side.say("sent", receipt.id, name, number)
        number += 1
        await asyncio.sleep(chance.random() * 0.01)


async def finish(system: System, env_no: int) -> None:
    """Let everything that is left come to its end."""
    while await system.platform.store.runs(RunQuery(env_no=env_no, states=OPEN_STATES, limit=1)):
        await asyncio.sleep(0.02)
    side.say("idle")


async def main(store: str, seed: int, mode: str) -> None:
    system = System(open_store(store, SystemClock()))
    await system.start()
    environment = await system.environment()
    await system.add_worker([client], environment)
    marks = Path(store.removeprefix("sqlite:///")).parent / "marks"
    marks.mkdir(exist_ok=True)
    if mode == "send":
        await send(system, random.Random(seed), marks)
    await finish(system, environment.no)
    await system.stop()


if __name__ == "__main__":
    side = SideFile(Path(sys.argv[2]))
    asyncio.run(main(sys.argv[1], int(sys.argv[3]), sys.argv[4]))
