"""One `io.run_task` call: from memory, or attempt after attempt until its task has ended."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from zopio_trigger.errors import InvalidInput, NonRetryable, RetryAt, TaskFailed, TaskTimeout
from zopio_trigger.model.commands import BeginTask, CloseTask, CompleteTask, FailTask, TaskName
from zopio_trigger.model.durations import instant_us
from zopio_trigger.model.names import TaskKey, display_key
from zopio_trigger.model.records import Task
from zopio_trigger.sdk.calls import TaskOptions
from zopio_trigger.sdk.codec import decode_result, encode_result
from zopio_trigger.sdk.scope import Scope, current
from zopio_trigger.worker.deadline import Deadline, DeadlineExceeded
from zopio_trigger.worker.failure import error_json

if TYPE_CHECKING:
    from zopio_trigger.worker.execution import Execution

ANSWERS_WITHIN_SECONDS = (
    1.0  # real; a store that takes longer is not waited for by code that is being cancelled
)


class TaskCall:
    """A task in progress in one execution."""

    __slots__ = (
        "abandoned", "args", "attempt", "execution", "function", "hash", "is_stored", "key", "kwargs", "name",
        "options", "scope", "started_at",
    )  # fmt: skip

    def __init__(
        self, execution: Execution, scope: Scope, hash: str, key: TaskKey, function: Callable[..., Any],
        args: tuple[Any, ...], kwargs: dict[str, Any], options: TaskOptions,
    ) -> None:  # fmt: skip
        self.execution = execution
        self.scope = scope
        self.hash = hash
        self.key = key
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.options = options
        self.name: TaskName | None = None
        self.attempt = 1
        self.started_at = 0
        self.is_stored = False
        self.abandoned: asyncio.Future[Any] | None = None  # a timed-out thread that still runs

    async def result(self) -> Any:
        """The task's result, from memory or by running the body."""
        execution = self.execution
        known = execution.memo.get(self.hash)
        if known is not None and known.state in ("completed", "failed"):
            execution.recall(self.scope, self.hash)
            return self._recorded(known)
        execution.slot.enter(self.scope)
        try:
            self._remember(known)
            while True:
                if known is not None and known.state == "waiting":
                    await execution.slot.sleep(self.hash)
                    known = execution.memo[self.hash]
                    self.attempt = known.attempt
                if not execution.slot.is_held:
                    await execution.slot.take()
                if self.abandoned is not None:  # a thread cannot be stopped: the next attempt waits for it
                    await asyncio.wait([self.abandoned])
                try:
                    text, value = await self._attempt()
                except BaseException as error:  # whatever the body raises is how the attempt ended
                    execution.give_up_if_over()
                    if is_of_the_process(error):
                        raise
                    known = await self._failed(error)
                    if known.state != "waiting":
                        return self._recorded(known, error)
                else:
                    return await self._completed(text, value)
        finally:
            execution.slot.leave(self.scope)

    def _remember(self, known: Task | None) -> None:
        """Take over what an earlier execution has recorded of this task."""
        retry = self.options.retry
        max_attempts = retry.max_attempts if retry is not None else 1
        shown = self.options.name or display_key(self.key)
        if known is None:
            self.name = self.execution.name(self.scope, self.hash, shown, max_attempts=max_attempts)
        else:
            self.attempt, self.is_stored = known.attempt, True
            self.name = TaskName(self.hash, known.id, self.scope.task_id, "task", shown, max_attempts)

    async def _attempt(self) -> tuple[str, Any]:
        """Run the body once; returns its result as text and as a value."""
        execution = self.execution
        self.started_at = execution.worker.clock.now()
        if self.options.durable_begin:
            await self._begin_durably()
        else:
            execution.worker.began(self)
        assert self.name is not None
        outer = current.set(Body(self, self.hash, self.name.id))
        try:
            body = self.function(*self.args, **self.kwargs) if _is_async(self.function) else self._in_thread()
            if self.options.timeout_seconds is None:
                result = await body
            else:
                async with Deadline(execution.worker.clock, self.options.timeout_seconds):
                    result = await body
        except asyncio.CancelledError:
            self._closed()
            raise
        finally:
            current.reset(outer)
            execution.worker.finished(self)
        return encode_result(self.function, result, self.name.key)

    async def _in_thread(self) -> Any:
        """Call a plain function away from the loop. One that returns a coroutine, as a lambda may, has it awaited."""
        result = await self.execution.caller.call_sync(self)
        return await result if inspect.isawaitable(result) else result

    async def _begin_durably(self) -> None:
        """Record the start before the body; one that was recorded before must not run again."""
        if self.is_stored and self.attempt == 1 and self.options.retry is None:
            raise NonRetryable(
                f"task {display_key(self.key)!r} had begun when its process died; durable_begin forbids a second time"
            )
        self.execution.ride_lines(self.execution.journal.take())
        await self.execution.store(self._begin())
        self.is_stored = True

    async def _completed(self, text: str, value: Any) -> Any:
        assert self.name is not None
        execution = self.execution
        run = execution.run
        if not execution.slot.is_held:  # the body may have gone on by itself while its run was suspended
            await execution.slot.take()
        task = await self._record(
            CompleteTask(
                run.id,
                run.token,
                self.name,
                self.attempt,
                self.started_at,
                text,
                execution.journal.take(),
            )
        )
        if self.scope is not execution.root:
            execution.memo[self.hash] = task
        else:
            execution.memo.pop(self.hash, None)
        return value if task.output == text else self._recorded(task)

    async def _failed(self, error: BaseException) -> Task:
        """Record a failed attempt; the answer says whether and when there is another."""
        assert self.name is not None
        execution = self.execution
        run = execution.run
        error, retry_at = _when_to_retry(error)
        if not execution.slot.is_held:
            await execution.slot.take()
        task = await self._record(
            FailTask(
                run.id,
                run.token,
                self.name,
                self.attempt,
                self.started_at,
                error_json(_shown(error)),
                retry=self.options.retry,
                chance=execution.worker.random.random(),
                retry_at=retry_at,
                is_final=self.options.durable_begin
                or isinstance(error, NonRetryable | TaskFailed | InvalidInput),
                is_timeout=isinstance(error, DeadlineExceeded),
                logs=execution.journal.take(),
            )
        )
        execution.note(task)
        self.is_stored = True
        return execution.memo[self.hash]

    async def _record(self, command: CompleteTask | FailTask) -> Task:
        """Have the end of an attempt committed. Whoever cancels this await does not cancel the commit, so what stands
        then is asked for: the next attempt of the task around this one must find it."""
        try:
            task: Task = await self.execution.store(command)
        except asyncio.CancelledError:
            if self.scope is not self.execution.root and self.execution.reason is None:
                answer = asyncio.ensure_future(self.execution.link.submit(command))
                await asyncio.wait([answer], timeout=ANSWERS_WITHIN_SECONDS)
                if answer.done() and answer.exception() is None:
                    self.execution.note(answer.result())
            raise
        return task

    def _closed(self) -> None:
        """The job itself cancelled the body: it is not memoized."""
        execution = self.execution
        if execution.reason is not None or self.name is None:
            return
        if self.is_stored:
            run = execution.run
            execution.worker.link.ride(CloseTask(run.id, run.token, self.name, self.attempt, self.started_at))
        else:
            execution.task_count -= 1

    def _recorded(self, task: Task, cause: BaseException | None = None) -> Any:
        """What a task that has ended gives to whoever asks."""
        if task.state == "failed":
            raise _task_failed(task) from cause
        return decode_result(self.function, task.output or "null", task.key)

    def record_begin(self) -> None:
        """Store that the body runs, and the lines before it: whoever finds the one relies on the other."""
        self.is_stored = True
        self.execution.ride_lines(self.execution.journal.take())
        self.execution.worker.link.ride(self._begin())

    def make_known(self) -> None:
        """Store that the body runs, if it is not: something inside of it refers to it."""
        if not self.is_stored:
            self.execution.worker.finished(self)  # with waiting to be recorded
            self.record_begin()

    def _begin(self) -> BeginTask:
        assert self.name is not None
        run = self.execution.run
        return BeginTask(run.id, run.token, self.name, self.attempt, self.started_at)


class Body(Scope):
    """One attempt of a task, as the place from which `io` calls are made."""

    __slots__ = ("call",)

    def __init__(self, call: TaskCall, hash: str, task_id: str) -> None:
        super().__init__(call.execution, hash, task_id)
        self.call = call


def is_of_the_process(error: BaseException) -> bool:
    """True when an exception ends more than the code it came out of: that code is being cancelled, or the process
    interrupted. A cancellation that nobody asked of the running asyncio task is a failure like any other."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is None or task.cancelling() > 0
    if isinstance(
        error, GeneratorExit
    ):  # outside a task the coroutine is being closed; inside, somebody raised it
        return asyncio.current_task() is None
    return isinstance(error, KeyboardInterrupt)


def _is_async(function: Callable[..., Any]) -> bool:
    """`inspect.iscoroutinefunction`, with a shortcut for plain functions, which nearly all are."""
    code = getattr(function, "__code__", None)
    if code is not None and code.co_flags & inspect.CO_COROUTINE:
        return True
    return inspect.iscoroutinefunction(function)


class _StoredError(msgspec.Struct):
    """What is read back from a stored error."""

    type: str = "Exception"
    message: str = ""
    traceback: str | None = None


_read_error = msgspec.json.Decoder(_StoredError).decode


def _task_failed(task: Task) -> TaskFailed:
    stored = _read_error(task.error or "{}")
    kind = TaskTimeout if stored.type == DeadlineExceeded.__name__ else TaskFailed
    return kind(task.key, stored.type, stored.message, stored.traceback)


def _when_to_retry(error: BaseException) -> tuple[BaseException, int | None]:
    """The instant `RetryAt` asks for; when it cannot be one, the attempt failed for that reason."""
    if not isinstance(error, RetryAt):
        return error, None
    try:
        return error, instant_us(error.when, "RetryAt")
    except InvalidInput as wrong:
        return wrong, None


def _shown(error: BaseException) -> BaseException:
    """`raise NonRetryable from error` is about the error it comes from."""
    bare = isinstance(error, NonRetryable | RetryAt) and error.__cause__ is not None
    return error.__cause__ if bare and error.__cause__ is not None else error
