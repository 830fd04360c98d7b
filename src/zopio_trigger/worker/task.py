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
        execution.enter(self.scope)
        try:
            self._remember(known)
            while True:
                if known is not None and known.state == "waiting":
                    await execution.sleep(self.hash)
                    known = execution.memo[self.hash]
                    self.attempt = known.attempt
                if not execution.is_executing:
                    await execution.slot()
                try:
                    text, value = await self._attempt()
                except Exception as error:  # whatever the body raises is how the attempt ended
                    known = await self._failed(error)
                    if known.state != "waiting":
                        return self._recorded(known, error)
                else:
                    return await self._completed(text, value)
        finally:
            execution.leave(self.scope)

    def _remember(self, known: Task | None) -> None:
        """Take over what an earlier execution has recorded of this task."""
        retry = self.options.retry
        max_attempts = retry.max_attempts if retry is not None else 1
        shown = self.options.name or display_key(self.key)
        if known is None:
            id = self.execution.worker.ids.new("task")
        else:
            id, self.attempt, self.is_stored = known.id, known.attempt, True
        self.name = TaskName(self.hash, id, self.scope.task_id, "task", shown, max_attempts)

    async def _attempt(self) -> tuple[str, Any]:
        """Run the body once; returns its result as text and as a value."""
        execution = self.execution
        self.started_at = execution.worker.clock.now()
        if self.options.durable_begin:
            await self._begin_durably()
        else:
            execution.worker.began(self)
        assert self.name is not None
        scope = Scope(execution, self.hash, self.name.id)
        outer = current.set(scope)
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
        assert self.name is not None
        run = self.execution.run
        await self.execution.store(BeginTask(run.id, run.token, self.name, self.attempt, self.started_at))

    async def _completed(self, text: str, value: Any) -> Any:
        assert self.name is not None
        execution = self.execution
        run = execution.run
        task: Task = await execution.store(
            CompleteTask(
                run.id,
                run.token,
                self.name,
                self.attempt,
                self.started_at,
                text,
                execution.journal.take(execution.branch()),
            )
        )
        if self.scope is not execution.root:
            execution.memo[self.hash] = task
        else:
            execution.memo.pop(self.hash, None)
        return value if task.output == text else self._recorded(task)

    async def _failed(self, error: Exception) -> Task:
        """Record a failed attempt; the answer says whether and when there is another."""
        assert self.name is not None
        execution = self.execution
        run = execution.run
        task: Task = await execution.store(
            FailTask(
                run.id,
                run.token,
                self.name,
                self.attempt,
                self.started_at,
                error_json(_shown(error)),
                retry=self.options.retry,
                chance=execution.worker.random.random(),
                retry_at=instant_us(error.when, "RetryAt") if isinstance(error, RetryAt) else None,
                is_final=isinstance(error, NonRetryable | TaskFailed | InvalidInput),
                is_timeout=isinstance(error, DeadlineExceeded),
                logs=execution.journal.take(execution.branch()),
            )
        )
        execution.note(task)
        self.is_stored = True
        return execution.memo[self.hash]

    def _closed(self) -> None:
        """The job itself cancelled the body: it is not memoized."""
        if self.execution.reason is None and self.name is not None and self.is_stored:
            run = self.execution.run
            self.execution.worker.link.ride(
                CloseTask(run.id, run.token, self.name, self.attempt, self.started_at)
            )

    def _recorded(self, task: Task, cause: Exception | None = None) -> Any:
        """What a task that has ended gives to whoever asks."""
        if task.state == "failed":
            raise _task_failed(task) from cause
        return decode_result(self.function, task.output or "null", task.key)

    def begin(self) -> BeginTask:
        """The mark that the body runs, for bodies that run long enough to be seen."""
        assert self.name is not None
        self.is_stored = True
        run = self.execution.run
        return BeginTask(run.id, run.token, self.name, self.attempt, self.started_at)


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


def _shown(error: Exception) -> BaseException:
    """`raise NonRetryable from error` is about the error it comes from."""
    bare = isinstance(error, NonRetryable | RetryAt) and error.__cause__ is not None
    return error.__cause__ if bare and error.__cause__ is not None else error
