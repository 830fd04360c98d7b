"""The real system, set up for a measurement: a store, a platform, one worker, all in this process."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

from benchmarks.contest import EVENT_NAME, Payload
from benchmarks.tally import Tally
from zopio_trigger import TriggerClient
from zopio_trigger.composition import System, open_store, settle_heap
from zopio_trigger.engine.effects import Changed, News
from zopio_trigger.model.clock import SystemClock
from zopio_trigger.model.records import Environment
from zopio_trigger.model.states import is_final
from zopio_trigger.worker.worker import MAX_RESIDENTS, SLOTS, Worker

JOB_ID = "benchmark"


class Stage:
    """A running system. Satisfies `contest.Contestant`."""

    def __init__(self, system: System, client: TriggerClient, environment: Environment) -> None:
        self.system = system
        self.client = client
        self.environment = environment
        self.tally = Tally()
        self.worker: Worker
        system.platform.follow(self._hear)

    def send(self, payload: Payload) -> Awaitable[object]:
        """Send an event; the answer arrives when it is on disk."""
        return self.client.send_event(EVENT_NAME, payload)

    def _hear(self, news: News) -> None:
        if type(news) is not Changed or news.task is not None:
            return
        run = news.run
        self.tally.count(run.state)
        if run.state != "completed" and is_final(run.state):
            self.tally.fail(RuntimeError(f"run {run.id} ended as {run.state}: {run.error}"))


def client_for(job: Callable[..., Any]) -> TriggerClient:
    """A client with this one job, started by the events that `Stage.send` sends."""
    client = TriggerClient("benchmarks")
    client.define_job(run=job, id=JOB_ID, trigger=client.triggers.event(name=EVENT_NAME))
    return client


@contextlib.asynccontextmanager
async def stage(
    url: str, job: Callable[..., Any], *, environment: str | None = None, api_key: str | None = None,
    slots: int = SLOTS, max_residents: int = MAX_RESIDENTS,
) -> AsyncIterator[Stage]:  # fmt: skip
    """A running system with one job, in the environment of this name or key, or in a new one: stores can be shared."""
    system = System(open_store(url, SystemClock()))
    await system.start()
    try:
        if api_key is not None:
            row = await system.environment_for(api_key)
        else:
            row = await system.environment(environment or f"bench-{uuid4().hex}")
        client = client_for(job)
        set_up = Stage(system, client, row)
        set_up.worker = await system.add_worker([client], row, slots=slots, max_residents=max_residents)
        settle_heap()
        yield set_up
    finally:
        await system.stop()
