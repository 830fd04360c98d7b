"""What can be asked of the engine: one frozen value for each request, with every id it needs made beforehand.

A command carries all it takes to be decided twice with one outcome: a commit whose fate is unknown is simply
submitted again. Commands are words that clients, workers and the platform share, so they live here and not in the
engine; `engine/decide.py` says what each one does and what it answers.
"""

from __future__ import annotations

from msgspec import Struct

from zopio_trigger.model.records import Job, LogLine, Schedule, Task
from zopio_trigger.model.retry import Retry
from zopio_trigger.model.states import RunState, TaskKind


class Command(Struct, frozen=True, tag=True, gc=False):
    """Something asked of the engine."""


# --- events


class SendEvent(Command, frozen=True, tag=True, gc=False):
    """Record an event and start the runs it triggers. Answers a `Receipt`."""

    env_no: int
    id: str  # evt_…, made by the sender's side
    name: str
    payload: str
    user_id: str | None = None
    source: str = "trigger.dev"
    context: str | None = None
    timestamp: int | None = None
    deliver_at: int | None = None
    deliver_after: int | None = None  # microseconds; `deliver_at` wins
    is_test: bool = False
    job: str = ""  # go to this job, whatever its subscription says
    origin_run: str | None = None
    account: str | None = None


class SendEvents(Command, frozen=True, tag=True, gc=False):
    """Record several events, all or none. Answers their `Receipt`s as a tuple, in their order."""

    events: tuple[SendEvent, ...]


class CancelEvent(Command, frozen=True, tag=True, gc=False):
    """Stop a delayed event that is not delivered yet. Answers the `Event`."""

    env_no: int
    id: str  # either id of the event


class DeliverEvent(Command, frozen=True, tag=True, gc=False):
    """Make the runs of a delayed event, which is due. Answers the ids of its runs."""

    env_no: int
    id: str
    run_id: str  # run_…; the second and later runs get a suffix


# --- what a worker writes under its lease


class TaskName(Struct, frozen=True, gc=False):
    """Which task of a run is meant, and how it is shown: everything about it that never changes."""

    hash: str
    id: str
    parent_id: str | None
    kind: TaskKind
    key: str
    max_attempts: int = 1


class BeginTask(Command, frozen=True, tag=True, gc=False):
    """Record that a task's body has started. Answers None."""

    run_id: str
    token: int
    task: TaskName
    attempt: int
    started_at: int


class CompleteTask(Command, frozen=True, tag=True, gc=False):
    """Record a task's result, with the events it sends and the lines logged so far. Answers the stored `Task`."""

    run_id: str
    token: int
    task: TaskName
    attempt: int
    started_at: int
    output: str | None
    logs: tuple[LogLine, ...] = ()
    events: tuple[SendEvent, ...] = ()


class FailTask(Command, frozen=True, tag=True, gc=False):
    """Record a failed attempt; the engine decides whether another follows. Answers the stored `Task`."""

    run_id: str
    token: int
    task: TaskName
    attempt: int
    started_at: int
    error: str
    retry: Retry | None = None
    chance: float = 0.0  # from [0, 1): the jitter of the delay
    retry_at: int | None = None  # asked for by user code; wins over `retry`
    is_final: bool = False  # asked for by user code: no further attempt
    is_timeout: bool = False
    logs: tuple[LogLine, ...] = ()


class Wait(Struct, frozen=True, gc=False):
    """A task that is completed by time: after `length` microseconds from now, or at `until`."""

    task: TaskName
    length: int | None
    until: int | None


class BeginWaits(Command, frozen=True, tag=True, gc=False):
    """Begin waits; when `suspend` is set the run gives up its slot, unless one of `open` has ended meanwhile.

    Answers `Begun`.
    """

    run_id: str
    token: int
    waits: tuple[Wait, ...]
    suspend: bool
    open: tuple[str, ...] = ()  # hashes of the other tasks this execution waits for
    logs: tuple[LogLine, ...] = ()


class CloseTask(Command, frozen=True, tag=True, gc=False):
    """Record that a body was cancelled by its own job (a TaskGroup, `asyncio.timeout`). Answers None."""

    run_id: str
    token: int
    task: TaskName
    attempt: int
    started_at: int


class CompleteRun(Command, frozen=True, tag=True, gc=False):
    """End a run with its output. Answers the `Run`."""

    run_id: str
    token: int
    output: str | None
    logs: tuple[LogLine, ...] = ()


class FailRun(Command, frozen=True, tag=True, gc=False):
    """End a run with an error. Answers the `Run`."""

    run_id: str
    token: int
    state: RunState  # failed, timed_out or invalid_payload
    error: str
    fingerprint: str | None = None
    logs: tuple[LogLine, ...] = ()


class WriteLogs(Command, frozen=True, tag=True, gc=False):
    """Store lines that no other write of the run took along. Answers None."""

    run_id: str
    token: int
    logs: tuple[LogLine, ...]


class ResumeRun(Command, frozen=True, tag=True, gc=False):
    """Ask for a slot for a suspended run whose code goes on by itself (a cancelled await, say). Answers None."""

    run_id: str
    token: int


class ReleaseRun(Command, frozen=True, tag=True, gc=False):
    """Give a run back unharmed: evicted from memory, drained, or unknown to its worker. Answers whether it was."""

    run_id: str
    token: int
    only_if_suspended: bool = False  # leave it alone when it has gone on meanwhile


class Advertise(Command, frozen=True, tag=True, gc=False):
    """Make known which jobs a worker serves. Jobs it does not name are left alone. Answers None."""

    env_no: int
    jobs: tuple[Job, ...]
    schedules: tuple[Schedule, ...]


# --- what the platform's services ask


class GrantRun(Command, frozen=True, tag=True, gc=False):
    """Lease a ready run to a worker when limits and slots admit it. Answers whether it was granted."""

    run_id: str
    worker: str


class InterruptRun(Command, frozen=True, tag=True, gc=False):
    """Take a run from a holder that died while executing it. Answers None."""

    run_id: str
    token: int


class FireTimer(Command, frozen=True, tag=True, gc=False):
    """Let a waiting task go on, because it is due. Answers None."""

    run_id: str
    hash: str


class FireSchedule(Command, frozen=True, tag=True, gc=False):
    """Send the events of a schedule that are due. Answers the planned times that fired."""

    env_no: int
    id: str
    event_id: str  # evt_…; the second and later events of one fire get a suffix


# --- what people ask


class CancelRun(Command, frozen=True, tag=True, gc=False):
    """End a run now. Answers the `Run`; a finished one is a `Conflict`."""

    env_no: int
    run_id: str
    actor: str = ""
    reason: str = ""


class ReplayRun(Command, frozen=True, tag=True, gc=False):
    """Start a finished run again as a new run of the same event. Answers the new `Run`."""

    env_no: int
    run_id: str
    new_id: str
    actor: str = ""
    reason: str = ""


class RetryRun(Command, frozen=True, tag=True, gc=False):
    """Continue a run that failed: finished tasks stay, failed ones are tried again. Answers the `Run`."""

    env_no: int
    run_id: str
    actor: str = ""
    reason: str = ""


# --- answers


class Begun(Struct, frozen=True, gc=False):
    """The answer to `BeginWaits`: the stored row of each wait, and whether the run is suspended now."""

    tasks: tuple[Task, ...]
    is_suspended: bool


class Receipt(Struct, frozen=True, gc=False):
    """The answer to an event: it is committed and flushed to disk."""

    id: str  # the event's public id
    name: str
    runs: tuple[str, ...]
    jobs: tuple[str, ...]
    created_at: int  # when it was recorded; of a duplicate, when the first one was
    is_duplicate: bool = False  # an event with this id was there already; that one stands
    payload_differs: bool = False  # … and this one said something else
