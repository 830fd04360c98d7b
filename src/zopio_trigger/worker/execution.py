"""One pass of a worker through a job function, and the `io` calls made in it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from zopio_trigger.errors import (
    DuplicateTaskKey,
    InvalidInput,
    InvalidPayload,
    LeaseLost,
    StoreError,
    TooLarge,
    Unstorable,
    ZopioTriggerError,
)
from zopio_trigger.model import json
from zopio_trigger.model.clock import Cancellable
from zopio_trigger.model.commands import (
    Command,
    CompleteRun,
    CompleteTask,
    FailRun,
    InterruptRun,
    SendEvent,
    TaskName,
    Wait,
    WriteLogs,
)
from zopio_trigger.model.durations import LONGEST_US, SECOND_US, iso, to_datetime
from zopio_trigger.model.names import TaskKey, display_key, kind_hash, task_hash
from zopio_trigger.model.records import Event, LogLine, Run, Task
from zopio_trigger.model.states import LogLevel, RunState, TaskKind
from zopio_trigger.sdk.calls import SentEvent, TaskOptions
from zopio_trigger.sdk.context import Context, EnvironmentContext, EventContext, JobContext, RunContext
from zopio_trigger.sdk.job import JobDefinition
from zopio_trigger.sdk.scope import CallSite, Scope, current
from zopio_trigger.transport.ports import EventRequest
from zopio_trigger.worker.calling import Caller, caller_for
from zopio_trigger.worker.failure import error_json, fingerprint
from zopio_trigger.worker.journal import Journal, data_json, message_json
from zopio_trigger.worker.slot import Slot
from zopio_trigger.worker.steering import Evicted, RunCancelled
from zopio_trigger.worker.task import Body, TaskCall, is_of_the_process

if TYPE_CHECKING:
    from zopio_trigger.worker.worker import Worker

LOGS_WAIT_FOR = 50_000  # microseconds a log line waits for a write to ride with
PATIENT_REFUSALS = 100  # io calls refused in one execution before each takes a while
MAX_REFUSALS = 1_000  # … before the run fails
REFUSED_FOR_SECONDS = 0.1  # what "a while" is
AGAIN_AFTER_SECONDS = 1.0  # between tries to store something while the store fails


class Execution:
    """A run in this worker's memory, from its lease to its end or eviction. Implements `sdk.calls.Calls`."""

    __slots__ = (
        "_alarm", "caller", "event", "is_cancelled", "is_over", "job", "journal", "link", "memo", "reason", "refusals",
        "root", "run", "slot", "task", "task_count", "worker",
    )  # fmt: skip

    def __init__(
        self, worker: Worker, job: JobDefinition, run: Run, event: Event, tasks: Sequence[Task]
    ) -> None:
        self.worker = worker
        self.job = job
        self.run = run
        self.event = event
        self.link = worker.link
        self.memo: dict[str, Task] = {task.hash: task for task in tasks}
        self.task_count = len(self.memo)
        self.journal = Journal(run.id, run.token)
        self.root = Scope(self, None, None)
        self.is_cancelled = False
        self.reason: Evicted | None = None
        self.task: asyncio.Task[None] | None = None
        self.caller: Caller = caller_for(self)
        self.slot = Slot(self)
        self.is_over = False
        self.refusals = 0
        self._alarm: Cancellable | None = None

    # --- the run as a whole

    async def execute(self) -> None:
        """Execute the job function from the top and end the run with what it does."""
        current.set(self.root)
        try:
            command = await self._result_of_job()
            if not self.slot.is_held:
                await self.slot.take()
            await self._end(command)
        except Evicted:
            pass
        except asyncio.CancelledError:
            if self.reason is None:  # the job cancelled its own asyncio task, or the loop is being closed
                self.worker.link.ride(InterruptRun(self.run.id, self.run.token))
                raise
        finally:
            self.is_over = True
            self._cancel_alarm()
            self.worker.ended(self)

    async def _result_of_job(self) -> Command:
        try:
            payload = self.job.decode(self.event.payload)
        except InvalidPayload as error:
            return self._failure("invalid_payload", error)
        try:
            output = await self.caller.call(payload)
            text = None if output is None else self.job.encode(output)
        except BaseException as error:  # whatever the job raises is how its run ends
            self.give_up_if_over()
            if is_of_the_process(error):
                raise
            return self._failure("failed", error)
        self.give_up_if_over()
        return CompleteRun(self.run.id, self.run.token, text, self.journal.take_all())

    async def _end(self, command: Command) -> None:
        """End the run. If a fault of ours keeps that from being stored, the run fails with it rather than be stuck."""
        try:
            await self.store(command)
        except Exception as error:
            await self.store(self._failure("failed", error))

    def _failure(self, state: RunState, error: BaseException) -> FailRun:
        return FailRun(
            self.run.id, self.run.token, state, error_json(error), fingerprint(error), self.journal.take_all()
        )

    async def break_off(self, error: Exception) -> None:
        """End the run with an error that is not its own, whatever its code is doing."""
        try:
            await self.store(self._failure("failed", error))
        except Evicted as reason:
            self.evict(reason)
        else:
            self.evict(Evicted(str(error)))

    def evict(self, reason: Evicted) -> None:
        """Let go of the run: everything that waits gets `reason` thrown in, and every later `io` call too."""
        if self.is_over:
            return
        self.reason = reason
        self.is_over = True
        self.is_cancelled = isinstance(reason, RunCancelled)
        for waiting in self.slot.end():
            self.caller.throw(waiting, reason)
        self.caller.stop(reason)

    def context(self) -> Context:
        """What the job may know about its run."""
        run, event, environment = self.run, self.event, self.worker.environment
        return Context(
            job=JobContext(run.job, self.job.version),
            run=RunContext(
                run.id, run.is_test, to_datetime(run.started_at or run.created_at), run.token, run.replay_of
            ),
            event=EventContext(
                event.public_id, event.name, to_datetime(event.timestamp),
                None if event.context is None else json.decode(event.context),
            ),
            environment=EnvironmentContext(environment.slug, environment.kind),
        )  # fmt: skip

    def give_up_if_over(self) -> None:
        """Raise what ended this execution, if anything did."""
        if self.reason is not None:
            raise self.reason

    # --- what the platform tells

    def wake(self, task: Task) -> None:
        """A task went on by itself."""
        self.note(task)
        self.slot.heed_news()

    def note(self, task: Task) -> None:
        """Keep what is known of a task, unless something newer is: answers and news overtake each other."""
        known = self.memo.get(task.hash)
        if known is None or known.revision <= task.revision:
            self.memo[task.hash] = task

    # --- io calls

    def run_task(
        self, key: TaskKey, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any],
        options: TaskOptions, site: CallSite,
    ) -> Coroutine[Any, Any, Any]:  # fmt: skip
        scope = self.scope()
        try:
            hash = self.claim(scope, key, site)
        except (ZopioTriggerError, Evicted) as refusal:
            return self._refused(refusal)
        return TaskCall(self, scope, hash, key, function, args, kwargs, options).result()

    def wait(
        self, key: TaskKey, length: int | None, until: int | None, site: CallSite
    ) -> Coroutine[Any, Any, None]:
        scope = self.scope()
        try:
            hash = self.claim(scope, key, site, "wait")
        except (ZopioTriggerError, Evicted) as refusal:
            return self._refused(refusal)
        return self._wait(scope, hash, key, length, until)

    async def _refused(self, refusal: BaseException) -> Any:
        """Refuse a call. It takes its turn of the loop like any other, and longer after many: a job that tries again
        for ever must harm only itself."""
        self.refusals += 1
        if self.refusals == MAX_REFUSALS and isinstance(refusal, Exception):
            await self.break_off(refusal)
        await self.worker.clock.sleep(0 if self.refusals < PATIENT_REFUSALS else REFUSED_FOR_SECONDS)
        raise refusal

    async def _wait(
        self, scope: Scope, hash: str, key: TaskKey, length: int | None, until: int | None
    ) -> None:
        known = self.memo.get(hash)
        if known is not None and known.state == "completed":
            self.recall(scope, hash)
            return
        if until is not None and until - self.worker.clock.now() > LONGEST_US:
            raise InvalidInput(
                f"the wait {display_key(key)!r} ends more than ten years from now; that is too far"
            )
        self.slot.enter(scope)
        try:
            if not self.slot.is_held:
                await self.slot.take()
            if known is None:
                name = self.name(scope, hash, display_key(key), "wait")
                self.slot.begin(Wait(name, length, until))
            await self.slot.sleep(hash)
        finally:
            self.slot.leave(scope)

    async def send_events(
        self, key: TaskKey, events: Sequence[EventRequest], site: CallSite
    ) -> list[SentEvent]:
        scope = self.scope()
        try:
            hash = self.claim(scope, key, site, "event")
        except (ZopioTriggerError, Evicted) as refusal:
            await self._refused(refusal)
            raise
        known = self.memo.get(hash)
        if known is None or known.state != "completed":
            commands = tuple([self._event_command(event) for event in events])
            sent = [{"id": command.user_id or command.id, "name": command.name} for command in commands]
            known = await self._complete_at_once(scope, hash, key, "event", sent, commands)
        else:
            self.recall(scope, hash)
        stored: list[Any] = json.decode(known.output or "[]")
        return [SentEvent(entry["id"], entry["name"]) for entry in stored]

    async def value(self, key: TaskKey, make: Callable[[], object], site: CallSite) -> Any:
        scope = self.scope()
        try:
            hash = self.claim(scope, key, site, "value")
        except (ZopioTriggerError, Evicted) as refusal:
            await self._refused(refusal)
            raise
        known = self.memo.get(hash)
        if known is None or known.state != "completed":
            known = await self._complete_at_once(scope, hash, key, "value", make(), ())
        else:
            self.recall(scope, hash)
        return json.decode(known.output or "null")

    def known_value(self, key: TaskKey) -> Any:
        known = self.memo.get(kind_hash(task_hash(self.scope().hash, key), "value"))
        return (
            json.decode(known.output or "null") if known is not None and known.state == "completed" else None
        )

    def make_random(self) -> float:
        return self.worker.random.random()

    def make_uuid(self) -> str:
        return str(UUID(int=self.worker.random.getrandbits(128), version=4))

    def make_now(self) -> str:
        return iso(self.worker.clock.now())

    def log(self, level: LogLevel, message: object, data: Mapping[str, object]) -> None:
        now, task_id = self.worker.clock.now(), self.scope().task_id
        if self.worker.is_on_loop:
            self.journal.write(now, level, message, data, task_id, self.caller.branch())
            self._flush_logs_later()
        else:  # a plain function in a thread, which has the line encoded at once and written by the loop
            line = (now, level, message_json(message), data_json(data), task_id)
            self.worker.call_on_loop(lambda: self._write_line(*line))

    def _write_line(
        self, at: int, level: LogLevel, message: str, data: str | None, task_id: str | None
    ) -> None:
        self.journal.write_encoded(at, level, message, data, task_id, self.caller.trunk)
        self._flush_logs_later()

    def _flush_logs_later(self) -> None:
        if self._alarm is None and not self.is_over:
            self._alarm = self.worker.clock.call_later(LOGS_WAIT_FOR / SECOND_US, self._flush_logs)

    def derive(self, event: EventRequest, scope: Scope) -> EventRequest:
        """Give an event sent by plain `send_event` an id that a later execution will find again."""
        identity = json.encode(
            [self.run.id, scope.hash, event.job, event.name, json.canonical(event.payload)],
            what="event identity",
        )
        digest = hashlib.sha256(identity.encode()).hexdigest()[:32]
        nth = scope.sent.get(digest, 0)
        scope.sent[digest] = nth + 1
        return event.derived(f"{self.run.id}:{digest}:{nth}", self.run.id)

    async def _complete_at_once(
        self,
        scope: Scope,
        hash: str,
        key: TaskKey,
        kind: TaskKind,
        output: object,
        events: tuple[SendEvent, ...],
    ) -> Task:
        """Complete a task that has no body."""
        self.slot.enter(scope)
        try:
            if not self.slot.is_held:
                await self.slot.take()
            text = json.encode(output, what=f"the value of {display_key(key)!r}")
            task: Task = await self.store(
                CompleteTask(
                    self.run.id,
                    self.run.token,
                    self.name(scope, hash, display_key(key), kind),
                    1,
                    self.worker.clock.now(),
                    text,
                    self.journal.take(),
                    events,
                )
            )
            self.memo[hash] = task
            return task
        finally:
            self.slot.leave(scope)

    def _event_command(self, event: EventRequest) -> SendEvent:
        return SendEvent(
            self.run.env_no, self.worker.ids.new("evt"), event.name, event.payload, event.id, event.source,
            event.context, event.timestamp, event.deliver_at, event.deliver_after, self.run.is_test, "", self.run.id,
            event.account,
        )  # fmt: skip

    # --- what every call does

    def scope(self) -> Scope:
        """Where the call is made: the body of this run that surrounds it."""
        scope = current.get()
        return scope if scope is not None and scope.execution is self else self.root

    def claim(self, scope: Scope, key: TaskKey, site: CallSite, kind: TaskKind = "task") -> str:
        """The hash of a key used here for the first time in this execution. A wait that has become a task under the
        same key is another thing, so the kind is in the hash."""
        self.give_up_if_over()
        if self.is_over:
            raise LeaseLost(f"run {self.run.id} has ended; its io can no longer be used")
        hash = task_hash(scope.hash, key)
        site = self.caller.site(site)
        first = scope.used.setdefault(hash, site)
        if first is not site:
            raise DuplicateTaskKey(
                f"task key {display_key(key)!r} is used twice in one place of run {self.run.id}: at "
                f"{_place(first)} and at {_place(site)}; give each call a key of its own, "
                f"for example ({display_key(key)!r}, number) in a loop"
            )
        hash = kind_hash(hash, kind)
        if hash not in self.memo:
            self._count_task()
        if not self.journal.is_empty:
            self._sort_lines(hash)
        return hash

    def _count_task(self) -> None:
        if self.task_count >= self.worker.max_tasks:
            raise TooLarge(
                f"run {self.run.id} has {self.task_count:,} tasks, and no run may have more; let a loop send an "
                "event for each part of the work, so that each part is a run of its own"
            )
        self.task_count += 1

    def _sort_lines(self, hash: str) -> None:
        """The lines before a call whose task has a row were stored with it, by an earlier execution; others are new."""
        if hash in self.memo:
            self.journal.drop(self.caller.branch())
        else:
            self.journal.keep(self.caller.branch())

    def name(
        self, scope: Scope, hash: str, shown: str, kind: TaskKind = "task", max_attempts: int = 1
    ) -> TaskName:
        """A name for a task that is new; the task around it is stored first, for its id stands in the name."""
        if isinstance(scope, Body):
            scope.call.make_known()
        return TaskName(hash, self.worker.ids.new("task"), scope.task_id, kind, shown, max_attempts)

    def recall(self, scope: Scope, hash: str) -> None:
        """A call was answered from memory. At the top a key is asked for once, so its memory can go; inside a task the
        next attempt will ask again."""
        if scope is self.root:
            self.memo.pop(hash, None)

    async def store(self, command: Command) -> Any:
        """Have a command committed. While the store fails this tries again, since what was done must not be lost;
        when the lease is gone, so is this execution."""
        while True:
            try:
                return await self.worker.link.submit(command)
            except LeaseLost as error:
                self.worker.lost(self, error)
                raise Evicted(str(error)) from None
            except Unstorable:
                raise
            except StoreError as error:
                self.give_up_if_over()
                self.worker.log_trouble(self, error)
                await self.worker.clock.sleep(AGAIN_AFTER_SECONDS)

    # --- logs

    def ride_lines(self, lines: tuple[LogLine, ...]) -> None:
        """Store lines with the next write."""
        if lines:
            self.worker.link.ride(WriteLogs(self.run.id, self.run.token, lines))

    def _flush_logs(self) -> None:
        self._alarm = None
        self.ride_lines(self.journal.take_all())

    def _cancel_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._flush_logs()


def _place(site: CallSite) -> str:
    code, line = site
    return f"{code.co_filename}:{line}"
