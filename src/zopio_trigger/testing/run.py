"""A run as a test sees it: what it is now, and ways to follow it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from zopio_trigger.model import json
from zopio_trigger.model.commands import CancelRun, Command, ReplayRun, RetryRun
from zopio_trigger.model.records import Attempt, LogLine, Run, Task
from zopio_trigger.model.states import is_final

if TYPE_CHECKING:
    from zopio_trigger.composition import System
    from zopio_trigger.testing.platform import TestPlatform


class TaskSeen(Struct, frozen=True, kw_only=True):
    """A task of a run. `output` and `error` are decoded; `parent` is the key of the task around it."""

    key: str
    kind: str  # task, wait, event or value
    state: str  # running, waiting, completed, failed or cancelled
    attempt: int
    output: Any
    error: Any
    parent: str | None
    due_at: int | None  # microseconds since 1970


class AttemptSeen(Struct, frozen=True, kw_only=True):
    """An unsuccessful try of a task."""

    key: str
    number: int
    error: Any
    retry_at: int | None  # microseconds since 1970


class LogSeen(Struct, frozen=True, kw_only=True):
    """A line that the job wrote. `task` is the key of the task it was written in."""

    level: str
    message: str
    data: Any
    task: str | None
    execution: int


class RunSeen:
    """What a run looked like when nothing moved the last time: after `advance`, `finished`, `until_waiting`, ….

    Attributes:
        id, job: which run of which job.
        state: `ready`, `executing`, `suspended`, `completed`, `failed`, `timed_out`, `cancelled`,
            `invalid_payload` or `crashed`.
        output, error: decoded; None when there is none. An error has `type`, `message`, `traceback`.
        executions: how often the job's function has been entered.
        tasks, attempts, logs: in the order in which they came to be.
    """

    __test__ = False  # for pytest, which collects what is called Test…

    def __init__(self, row: Run) -> None:
        self._show(row, [], [], [])

    def task(self, key: str) -> TaskSeen:
        """The task with this key as shown; the latest one when several parents have one."""
        found = [task for task in self.tasks if task.key == key]
        if not found:
            keys = ", ".join(repr(task.key) for task in self.tasks) or "no task"
            raise AssertionError(f"run {self.id} has no task {key!r}; it has {keys}")
        return found[-1]

    @property
    def messages(self) -> list[str]:
        """The texts of `logs`."""
        return [line.message for line in self.logs]

    @property
    def has_ended(self) -> bool:
        return is_final(self.state)

    def __repr__(self) -> str:
        about = f" ({self.error['type']}: {self.error['message']})" if self.error is not None else ""
        return f"<run {self.id} of {self.job}: {self.state}{about}>"

    def _show(self, row: Run, tasks: list[Task], attempts: list[Attempt], logs: list[LogLine]) -> None:
        keys = {task.id: task.key for task in tasks}
        hashes = {task.hash: task.key for task in tasks}
        self.row = row
        self.id = row.id
        self.job = row.job
        self.state: str = row.state
        self.executions = row.token
        self.output = _value(row.output)
        self.error = _value(row.error)
        self.tasks = [_task(task, keys) for task in tasks]
        self.attempts = [
            AttemptSeen(
                key=hashes.get(attempt.hash, ""), number=attempt.number, error=_value(attempt.error),
                retry_at=attempt.retry_at,
            )
            for attempt in attempts
        ]  # fmt: skip
        self.logs = [_log(line, keys) for line in logs]


class TestRun(RunSeen):
    """A run on a `TestPlatform`."""

    def __init__(self, platform: TestPlatform, row: Run) -> None:
        super().__init__(row)
        self._platform = platform

    async def finished(self, timeout_seconds: float = 5.0) -> TestRun:
        """Return this run when it has ended.

        Parameters:
            timeout_seconds: real seconds to wait for code that is executing; default 5.

        Raises:
            AssertionError: it waits for time, a slot or a worker, which will not come by itself: the message says
                for what. Move the clock with `platform.advance(...)`, or see `fast_forward`.
        """
        await self._platform.settle_run(self, timeout_seconds)
        if not self.has_ended:
            raise AssertionError(f"{self!r} has not ended: it is {await self.waiting_for()}")
        return self

    async def until_waiting(self, timeout_seconds: float = 5.0) -> TestRun:
        """Return this run when it waits, for time or for a slot. Parameters as `finished`.

        Raises:
            AssertionError: it ended without waiting (again).
        """
        await self._platform.settle_run(self, timeout_seconds)
        if self.has_ended or self.state == "executing":
            raise AssertionError(f"{self!r} does not wait for anything")
        return self

    async def fast_forward(self, timeout_seconds: float = 5.0) -> TestRun:
        """Move the clock from one thing that is due to the next until this run has ended, however long it waits.

        Raises:
            AssertionError: nothing is due any more, and it has not ended.
        """
        await self._platform.settle()
        while not self.has_ended and await self._platform.skip_to_next():
            pass
        return await self.finished(timeout_seconds)

    async def waiting_for(self) -> str:
        """Why it is not executing, as people are told: `waiting 24 h for …`."""
        return await self._platform.reason_of(self)

    async def cancel(self, reason: str = "") -> TestRun:
        """End it now. Raises `Conflict` when it has ended."""
        await self._platform.ask(lambda _, env_no: CancelRun(env_no, self.id, reason=reason))
        await self._platform.settle()
        return self

    async def replay(self) -> TestRun:
        """Start it again, as a new run of the same event, which is returned. Raises `Conflict` while it goes on."""
        again = ""

        def make(system: System, env_no: int) -> Command:
            nonlocal again
            again = system.ids.new("run")
            return ReplayRun(env_no, self.id, again)

        await self._platform.ask(make)
        return await self._platform.run_with(again)

    async def retry(self) -> TestRun:
        """Continue it after a failure: finished tasks stay, the failed one is tried again."""
        await self._platform.ask(lambda _, env_no: RetryRun(env_no, self.id))
        await self._platform.settle()
        return self


def _task(task: Task, keys: dict[str, str]) -> TaskSeen:
    return TaskSeen(
        key=task.key, kind=task.kind, state=task.state, attempt=task.attempt, output=_value(task.output),
        error=_value(task.error), parent=keys.get(task.parent_id or ""), due_at=task.due_at,
    )  # fmt: skip


def _log(line: LogLine, keys: dict[str, str]) -> LogSeen:
    return LogSeen(
        level=line.level, message=json.decode(line.message), data=_value(line.data),
        task=keys.get(line.task_id or ""), execution=line.token,
    )  # fmt: skip


def _value(text: str | None) -> Any:
    return None if text is None else json.decode(text)
