"""A process that executes runs until it is killed, or until all runs of the store have ended.

What happens is written to a file beside the store, one line for each thing, so that the store can be compared with
it afterwards: `sent RUN`, `began RUN TASK MICROSECONDS`, `ended RUN TASK MICROSECONDS`.
"""

from __future__ import annotations

import asyncio
import os
import time

from msgspec import Struct

from benchmarks.contest import Payload
from benchmarks.process import answer, question
from benchmarks.stage import Stage, stage
from zopio_trigger import IO, Context
from zopio_trigger.model.commands import Receipt
from zopio_trigger.model.states import RUN_STATES, is_final
from zopio_trigger.storage.port import RunQuery

LOOK_EVERY = 0.02  # seconds; when runs ended is read from the store, so this may be coarse
OPEN_STATES = tuple(state for state in RUN_STATES if not is_final(state))


class Asked(Struct):
    url: str
    environment: str
    diary: str  # path of the file beside the store
    runs: int
    tasks: int
    body_ms: int
    sends: bool  # the first process does; the one after the crash only goes on


class Answer(Struct):
    ended: bool = True  # a process that was killed answers nothing


class Diary:
    """The file beside the store. Each line is one write, so a kill cannot cut or lose those before it."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, *words: str) -> None:
        os.write(self._descriptor, (" ".join(words) + "\n").encode())

    def close(self) -> None:
        os.close(self._descriptor)


async def main(asked: Asked) -> Answer:
    diary = Diary(asked.diary)

    async def body(run_id: str, task: str) -> str:
        diary.write("began", run_id, task, str(time.time_ns() // 1000))
        await asyncio.sleep(asked.body_ms / 1000)
        diary.write("ended", run_id, task, str(time.time_ns() // 1000))
        return task

    async def job(payload: Payload, io: IO, ctx: Context) -> None:
        for number in range(asked.tasks):
            await io.run_task(f"task-{number}", body, ctx.run.id, f"task-{number}")

    async with stage(asked.url, job, environment=asked.environment, slots=asked.runs) as system:
        if asked.sends:
            await asyncio.gather(*(_send(system, diary, number) for number in range(asked.runs)))
        while await _has_open_runs(system):  # noqa: ASYNC110  # the store is another process's, too
            await asyncio.sleep(LOOK_EVERY)
    diary.close()
    return Answer()


async def _send(system: Stage, diary: Diary, number: int) -> None:
    receipt = await system.send({"number": number})
    assert isinstance(receipt, Receipt)
    diary.write("sent", receipt.runs[0])


async def _has_open_runs(system: Stage) -> bool:
    """Ask the store, not the tally: this process may not have heard of runs that ended before it was born."""
    query = RunQuery(env_no=system.environment.no, states=OPEN_STATES, limit=1)
    return bool(await system.system.platform.store.runs(query))


if __name__ == "__main__":
    answer(asyncio.run(main(question(Asked))))
