"""Calling user code: on the event loop when it is async, in threads when it is not.

A sync job has a thread of its own for as long as it is in memory. Its `io` calls are made on the loop while the thread
waits at a mailbox; a task's body that is a plain function is sent back through that mailbox and runs on the caller's
thread, so that threads never wait for threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import queue
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from zopio_trigger.sdk.io import IO
from zopio_trigger.sdk.syncio import SyncIO
from zopio_trigger.worker.steering import Evicted, RunCancelled

if TYPE_CHECKING:
    from zopio_trigger.worker.execution import Execution
    from zopio_trigger.worker.task import TaskCall

_Letter = tuple[Callable[[], Any], "asyncio.Future[Any] | None"]


class Caller(Protocol):
    """How the functions of one run are called, and stopped."""

    def call(self, payload: object) -> Awaitable[object]:
        """Call the job's function."""

    async def call_sync(self, call: TaskCall) -> Any:
        """Call a task's plain function, away from the loop."""

    def throw(self, waiting: asyncio.Future[None], reason: Evicted) -> None:
        """End the wait of an `io` call."""

    def stop(self, reason: Evicted) -> None:
        """End user code that does not wait for `io`, as far as that is possible."""


def caller_for(execution: Execution) -> Caller:
    """The caller that fits the job's function."""
    return AsyncCaller(execution) if execution.job.is_async else SyncCaller(execution)


class AsyncCaller:
    """Calls an `async def` job on the loop; its plain task functions run in the worker's threads."""

    __slots__ = ("_execution",)

    def __init__(self, execution: Execution) -> None:
        self._execution = execution

    def call(self, payload: object) -> Awaitable[object]:
        execution = self._execution
        job = execution.job
        called: Awaitable[object]
        if job.takes_context:
            called = job.function(payload, IO(execution), execution.context())
        else:
            called = job.function(payload, IO(execution))
        return called

    async def call_sync(self, call: TaskCall) -> Any:
        if call.abandoned is not None and not call.options.overlap_ok:
            with contextlib.suppress(Exception):  # its outcome was given up when it timed out
                await asyncio.shield(call.abandoned)
        context = contextvars.copy_context()
        body = asyncio.get_running_loop().run_in_executor(
            self._execution.worker.threads, lambda: context.run(call.function, *call.args, **call.kwargs)
        )
        call.abandoned = body
        return await asyncio.shield(body)

    def throw(self, waiting: asyncio.Future[None], reason: Evicted) -> None:
        if isinstance(reason, RunCancelled):
            waiting.cancel()
        else:
            waiting.set_exception(reason)

    def stop(self, reason: Evicted) -> None:
        task = self._execution.task
        if task is not None and task is not asyncio.current_task():
            if isinstance(reason, RunCancelled):
                task.cancel()
            else:  # what waits for io ends by itself in the next ticks; what waits for anything else is cut
                asyncio.get_running_loop().call_later(0.05, _cut, task)


class SyncCaller:
    """Calls a `def` job in a thread and serves its `io` calls on the loop."""

    __slots__ = ("_execution", "_loop")

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._loop = asyncio.get_running_loop()

    def call(self, payload: object) -> Awaitable[object]:
        execution = self._execution
        job = execution.job
        arguments = (payload, SyncIO(IO(execution), self.ask))
        if job.takes_context:
            arguments = (*arguments, execution.context())  # type: ignore[assignment]  # the third parameter
        context = contextvars.copy_context()
        return self._loop.run_in_executor(
            execution.worker.threads, lambda: context.run(job.function, *arguments)
        )

    def ask(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Make an `io` call on the loop and serve its mailbox until it has an answer. Called in the job's thread."""
        letters: queue.SimpleQueue[_Letter] = queue.SimpleQueue()
        context = contextvars.copy_context()
        context.run(_mailbox.set, letters)

        async def answer() -> None:
            try:
                result = await make()
            except BaseException as error:  # everything goes to the thread, whose call this is
                letters.put((_raising(error), None))
            else:
                letters.put((lambda: result, None))

        def begin() -> None:
            self._execution.worker.keep(self._loop.create_task(answer(), context=context))

        self._loop.call_soon_threadsafe(begin)
        while True:
            work, reply = letters.get()
            if reply is None:
                return work()
            self._reply(work, reply)

    async def call_sync(self, call: TaskCall) -> Any:
        context = contextvars.copy_context()
        reply: asyncio.Future[Any] = self._loop.create_future()
        _mailbox.get().put((lambda: context.run(call.function, *call.args, **call.kwargs), reply))
        return await reply

    def throw(self, waiting: asyncio.Future[None], reason: Evicted) -> None:
        waiting.set_exception(reason)

    def stop(self, reason: Evicted) -> None:
        """A thread cannot be stopped; it meets the reason at its next `io` call."""

    def _reply(self, work: Callable[[], Any], reply: asyncio.Future[Any]) -> None:
        try:
            result = work()
        except BaseException as error:  # the body's failure belongs to its task
            self._loop.call_soon_threadsafe(_settle, reply, None, error)
        else:
            self._loop.call_soon_threadsafe(_settle, reply, result, None)


_mailbox: contextvars.ContextVar[queue.SimpleQueue[_Letter]] = contextvars.ContextVar("zopio_trigger_mailbox")


def _raising(error: BaseException) -> Callable[[], Any]:
    def work() -> Any:
        raise error

    return work


def _settle(reply: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if reply.done():
        return
    if error is not None:
        reply.set_exception(error)
    else:
        reply.set_result(result)


def _cut(task: asyncio.Task[None]) -> None:
    if not task.done():
        task.cancel()
