"""Calling user code: on the event loop when it is async, in threads when it is not.

A sync job has a thread of its own for as long as it is in memory. Its `io` calls are made on the loop while the thread
waits at a mailbox; a task's body that is a plain function is sent back through that mailbox and runs on the caller's
thread, so that threads never wait for threads.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import sys
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from zopio_trigger.sdk.io import IO
from zopio_trigger.sdk.scope import CallSite
from zopio_trigger.sdk.syncio import SyncIO
from zopio_trigger.worker.journal import Branch
from zopio_trigger.worker.steering import Evicted, RunCancelled

if TYPE_CHECKING:
    from zopio_trigger.worker.execution import Execution
    from zopio_trigger.worker.task import TaskCall

_Letter = tuple[Callable[[], Any], "asyncio.Future[Any] | None"]
_IN_BETWEEN = (__file__, SyncIO._call.__code__.co_filename)  # files between a sync job and the loop


class Caller(Protocol):
    """How the functions of one run are called, and stopped."""

    def call(self, payload: object) -> Awaitable[object]:
        """Call the job's function."""

    async def call_sync(self, call: TaskCall) -> Any:
        """Call a task's plain function, away from the loop."""

    trunk: Branch  # the job's function itself

    def branch(self) -> Branch:
        """The branch in which an `io` call is made now."""

    def site(self, site: CallSite) -> CallSite:
        """Where in the user's code an `io` call is made that came from `site`."""

    def throw(self, waiting: asyncio.Future[None], reason: Evicted) -> None:
        """End the wait of an `io` call."""

    def stop(self, reason: Evicted) -> None:
        """End user code that does not wait for `io`, as far as that is possible."""


def caller_for(execution: Execution) -> Caller:
    """The caller that fits the job's function."""
    return AsyncCaller(execution) if execution.job.is_async else SyncCaller(execution)


class AsyncCaller:
    """Calls an `async def` job on the loop; its plain task functions run in the worker's threads."""

    __slots__ = ("_execution", "trunk")

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self.trunk = Branch()

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
        context = contextvars.copy_context()
        body = asyncio.get_running_loop().run_in_executor(
            self._execution.worker.threads, _call_in, context, call.function, call.args, call.kwargs
        )
        call.abandoned = None if call.options.overlap_ok else body
        return await asyncio.shield(body)

    def branch(self) -> Branch:
        task, here = asyncio.current_task(), _branch.get(None)
        if task is self._execution.task:
            here = self.trunk
        elif here is None or here.task is not task:
            here = Branch(task, here or self.trunk)
        _branch.set(here)  # inherited by the asyncio tasks that are begun from here on
        return here

    def site(self, site: CallSite) -> CallSite:
        return site

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

    __slots__ = ("_body", "_execution", "_loop", "trunk")

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._loop = asyncio.get_running_loop()
        self._body: asyncio.Future[Any] | None = None  # the latest plain function sent to the thread
        self.trunk = Branch()

    def call(self, payload: object) -> Awaitable[object]:
        execution = self._execution
        job = execution.job
        arguments = (payload, SyncIO(IO(execution), self.ask))
        if job.takes_context:
            arguments = (*arguments, execution.context())  # type: ignore[assignment]  # the third parameter
        context = contextvars.copy_context()
        return self._loop.run_in_executor(
            execution.worker.threads, _call_in, context, job.function, arguments, {}
        )

    def ask(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Make an `io` call on the loop and serve its mailbox until it has an answer. Called in the job's thread."""
        letters: queue.SimpleQueue[_Letter] = queue.SimpleQueue()
        context = contextvars.copy_context()
        context.run(_mailbox.set, letters)
        context.run(_site.set, _calling_site())

        async def answer() -> None:
            try:
                result = await make()
            except BaseException as error:  # everything goes to the thread, whose call this is
                letters.put((_raising(error), None))
            else:
                letters.put((lambda: result, None))

        def hear_of_no_answer(done: asyncio.Future[None]) -> None:
            if done.cancelled():  # before it could begin
                letters.put(_NO_ANSWER)

        def begin() -> None:
            answering = self._loop.create_task(answer(), context=context)
            answering.add_done_callback(hear_of_no_answer)
            self._execution.worker.keep(answering)

        self._loop.call_soon_threadsafe(begin)
        while True:
            work, reply = letters.get()
            if reply is None:
                return work()
            self._reply(work, reply)

    async def call_sync(self, call: TaskCall) -> Any:
        context = contextvars.copy_context()
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._body = call.abandoned = reply
        _mailbox.get().put((partial(_call_in, context, call.function, call.args, call.kwargs), reply))
        return await asyncio.shield(reply)

    @property
    def is_held_up(self) -> bool:
        """True while the thread runs a body, perhaps one that was given up: it cannot be given back now."""
        return self._body is not None and not self._body.done()

    def branch(self) -> Branch:
        return self.trunk

    def site(self, site: CallSite) -> CallSite:
        return _site.get() if site[0].co_filename in _IN_BETWEEN else site

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
_site: contextvars.ContextVar[CallSite] = contextvars.ContextVar("zopio_trigger_site")
_branch: contextvars.ContextVar[Branch] = contextvars.ContextVar("zopio_trigger_branch")


def _calling_site() -> CallSite:
    """Where the user's code called: the innermost frame that is neither this module's nor that of `SyncIO`."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename in _IN_BETWEEN:
        frame = frame.f_back
    return frame.f_code, frame.f_lineno


def _call_in(
    context: contextvars.Context, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call a plain function in a thread. A `StopIteration` cannot pass through a future, and what ends a process when
    the keyboard or the main program asks for it is a failure like any other here."""
    try:
        return context.run(function, *args, **kwargs)
    except (StopIteration, KeyboardInterrupt, SystemExit) as error:
        raise RuntimeError(f"{function!r} raised {type(error).__name__}") from error


def _raising(error: BaseException) -> Callable[[], Any]:
    def work() -> Any:
        raise error

    return work


_NO_ANSWER: _Letter = (_raising(Evicted("the process stops")), None)


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
