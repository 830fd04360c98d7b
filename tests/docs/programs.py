"""Running the examples of the documentation: each block is a program of its own, on a fresh client and the real engine
in memory.

A block may stop short of sending events: every job in it is then run with an example of what it listens to, so that
no line of a job stands in the docs unexecuted.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import httpx2
import pytest

import zopio_trigger
from tests.docs import services
from tests.docs.pages import Block
from zopio_trigger import TriggerClient
from zopio_trigger.model.trigger import EventTrigger, ScheduleTrigger
from zopio_trigger.sdk.job import JobDefinition
from zopio_trigger.testing import TestPlatform, TestRun

MODULE = "docs_example"
PATIENCE = 10.0  # seconds for a run of a web app
PLANNED = {"ts": "2026-01-05T06:00:00.000Z"}  # the payload of a scheduled run


class Program:
    """One block of Python. A run of one that is marked ```python fails is to fail.

    Parameters:
        fresh: what stands in place of the pre-configured client.
    """

    def __init__(self, block: Block, fresh: TriggerClient) -> None:
        self._block = block
        self._fresh = fresh
        self._expects_failure = "fails" in block.words
        self._definitions, self._script = _halves(parsed(block))
        self.names: dict[str, Any] = {}

    async def run(self, *, reexecute: bool) -> None:
        """Define, send, and let every run come to its end.

        Parameters:
            reexecute: drop every run that waits from memory, so that its function is executed again.
        """
        with _module() as module:
            self.names = vars(module)
            self.names.update(
                {name: value for name, value in vars(services).items() if inspect.isfunction(value)}
            )
            await self._execute(self._definitions)
            if "app" in self.names:
                await self._serve()
                return
            async with TestPlatform(*self._clients(), reexecute=reexecute) as platform:
                for job in self._jobs():
                    if job.id in services.DEATHS:
                        platform.crash_before(services.DEATHS[job.id])
                for statement in self._script:
                    await self._execute([statement])
                    await platform.settle()
                await self._run_the_rest(platform, reexecute=reexecute)
                self._check(await self._finished(platform))

    def _clients(self) -> list[TriggerClient]:
        named = [value for value in self.names.values() if isinstance(value, TriggerClient)]
        return list({id(client): client for client in [self._fresh, *named]}.values())

    def _jobs(self) -> list[JobDefinition]:
        """The jobs of the block, without hooks."""
        return [job for client in self._clients() for job in client.jobs.values() if not job.internal]

    async def _execute(self, statements: list[ast.stmt]) -> None:
        code = compile(
            ast.Module(statements, []), self._block.place, "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True,
        )  # fmt: skip
        outcome = eval(code, self.names)
        if inspect.iscoroutine(outcome):
            await outcome

    async def _run_the_rest(self, platform: TestPlatform, *, reexecute: bool) -> None:
        """Run every job that was not run yet, neither by the script nor by another job. (One that is cancelled while it
        is in nobody's memory sends no event, and what it would have started is not run.)"""
        for job in self._jobs():
            if job.id in {run.job for run in await self._finished(platform)}:
                continue
            payload = _payload_for(job)
            assert payload is not None or reexecute, (
                f"{self._block.place}: give services.EVENTS an example for {job!r}"
            )
            if payload is not None:
                await platform.run(job.id, payload)

    async def _finished(self, platform: TestPlatform) -> list[TestRun]:
        """All runs at their ends, with those that they started."""
        while waiting := [run for run in await platform.runs() if not run.has_ended]:
            for run in waiting:
                await run.fast_forward()
        return await platform.runs()

    def _check(self, runs: list[TestRun]) -> None:
        for run in runs:
            told, keys = services.TASKS.get(run.job), [task.key for task in run.tasks]
            assert told in (None, keys), f"{self._block.place}: the tasks of {run.job} are {keys}"
        failed = [run for run in runs if run.state not in ("completed", "cancelled")]
        if self._expects_failure:
            assert failed, f"{self._block.place} is to have a run that fails"
        else:
            assert not failed, f"{self._block.place}: {failed[0]!r}\n{failed[0].error['traceback']}"

    async def _serve(self) -> None:
        """Start the web app, ask what there is to ask, and see that the runs complete."""
        app = self.names["app"]
        async with app.router.lifespan_context(app):
            transport = httpx2.ASGITransport(app=app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://docs") as web:
                for method, path, body in services.REQUESTS:
                    response = await web.request(method, path, json=body)
                    await self._completed(response.raise_for_status().json()["run"])
                    shown = await web.get(f"/runs/{response.json()['run']}")
                    assert shown.raise_for_status().json()["status"] == "completed"

    async def _completed(self, run_id: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while (await self._fresh.get_run(run_id)).status != "completed":  # a client can only ask
                await asyncio.sleep(0.005)


def _payload_for(job: JobDefinition) -> object:
    """An example of what the job is given, when there is one."""
    match job.trigger:
        case EventTrigger(names=(name, *_)):
            return services.EVENTS.get(name)
        case ScheduleTrigger():
            return PLANNED
        case _:
            return {}


def parsed(block: Block) -> ast.Module:
    """The block's syntax tree, with the page's line numbers."""
    tree = ast.parse(block.text, block.place)
    return ast.increment_lineno(tree, block.line - 1)


def compiled(block: Block) -> None:
    """Compile a block that is not executed."""
    compile(parsed(block), block.place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


def use_fresh_client(patch: pytest.MonkeyPatch) -> TriggerClient:
    """Put a client without jobs in place of the pre-configured one."""
    fresh = TriggerClient("docs")
    patch.setattr(zopio_trigger, "client", fresh)
    patch.setattr(zopio_trigger, "send_event", fresh.send_event)
    return fresh


def _halves(tree: ast.Module) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """What defines jobs, and what comes from the first `await` at the top on: by then a worker has to serve them."""
    for number, statement in enumerate(tree.body):
        is_definition = isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if not is_definition and any(isinstance(node, ast.Await) for node in ast.walk(statement)):
            return tree.body[:number], tree.body[number:]
    return tree.body, []


@contextmanager
def _module() -> Iterator[ModuleType]:
    """A module for the block: classes look theirs up when their annotations are resolved."""
    module = sys.modules[MODULE] = ModuleType(MODULE)
    try:
        yield module
    finally:
        del sys.modules[MODULE]
