"""The rows of the store as frozen values: what is true about an event, a run, a task.

They are msgspec structs that encode as arrays, so a batch of rows becomes the JSON argument of one SQL statement
without a line of Python for each; building and replacing them costs a third of what a frozen dataclass costs. The
order of the fields is the order of the columns, and a contract test holds the two together.

Every row that several parties write has a `revision`: 1 when it is inserted, one more with every write. A write says
which revision it follows; the store refuses it when another write came between. (The fence is called revision because
`version` is what a job has.)

All instants (`…_at`) are integer microseconds since 1970 in UTC. All JSON is ASCII text. "" is "none" for short names
in key columns (SQL compares NULLs oddly); None is "none" everywhere else.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace as replace

from zopio_trigger.model.states import LogLevel, RunState, TaskKind, TaskState

ALONE_FROM = 3  # interruptions from which a run executes with nobody beside it


class Row(Struct, frozen=True, array_like=True, gc=False):
    """A row of the store. Rows hold text and numbers only, so the garbage collector need not track them."""


class Event(Row, frozen=True, array_like=True, gc=False):
    """A named fact with a payload, recorded once by id."""

    id: str  # ours: evt_…
    env_no: int
    revision: int
    user_id: str | None  # the id the sender gave; unique in the environment
    name: str
    source: str
    created_at: int
    timestamp: int  # when it happened, as the sender says
    deliver_at: int  # when runs are to be made of it; created_at when at once
    delivered_at: int | None
    cancelled_at: int | None
    is_test: bool
    job: str  # a job it goes to directly (schedule, hook, test); "" when subscriptions decide
    origin_run: str | None  # the run that sent it
    account: str | None
    payload: str
    context: str | None

    @property
    def public_id(self) -> str:
        """The id callers know it by: their own when they gave one."""
        return self.user_id if self.user_id is not None else self.id


class Run(Row, frozen=True, array_like=True, gc=False):
    """One durable execution of a job for one event."""

    # What changes comes first: updates then read no further into a row.
    id: str  # run_…
    revision: int
    state: RunState
    token: int  # grows with every grant: the fence of the lease, and the number of the execution
    holder: str | None  # the worker with the lease, also while the run is suspended in its memory
    interruptions: int  # hard deaths while executing since the last newly completed task
    ready_at: int  # since when it may be executed
    started_at: int | None  # first grant
    paused_at: int | None  # since when it is suspended
    finished_at: int | None
    fingerprint: str | None  # groups failures of one kind
    output: str | None
    error: str | None
    env_no: int
    job: str
    job_version: str
    event_id: str  # Event.id
    replay_no: int  # 0 for the run the event made; 1, 2, … for its replays
    replay_of: str | None
    queue: str
    queue_key: str  # "" unless the job limits per key
    priority: int  # higher first
    is_test: bool
    tags: str  # JSON list of strings
    created_at: int

    @property
    def executes_alone(self) -> bool:
        """True when it has killed its process so often that nothing should be lost with it the next time."""
        return self.interruptions >= ALONE_FROM

    @property
    def line(self) -> Line:
        """The line in which it waits for a slot: its queue, or one key of it."""
        return (self.env_no, self.queue, self.queue_key)


Line = tuple[int, str, str]  # environment, queue, key
"""Runs that share one limit wait in one line."""


class Task(Row, frozen=True, array_like=True, gc=False):
    """A memoized unit inside a run."""

    run_id: str
    hash: str  # of the parents' keys and its own; what an execution finds it by
    revision: int
    state: TaskState
    id: str  # task_…
    parent_id: str | None
    kind: TaskKind
    key: str  # as shown
    attempt: int  # the try that is running, will run at `due_at`, or ended it; from 1
    max_attempts: int
    created_at: int
    started_at: int  # of the last attempt
    due_at: int | None  # while waiting: when it goes on by itself
    finished_at: int | None
    output: str | None
    error: str | None


class Attempt(Row, frozen=True, array_like=True, gc=False):
    """One unsuccessful try of a task. (The successful one is the task's own row.)"""

    run_id: str
    hash: str
    number: int
    started_at: int
    finished_at: int
    retry_at: int | None
    error: str


class LogLine(Row, frozen=True, array_like=True, gc=False):
    """A line a job wrote. `token` and `number` name it: the execution that wrote it, and its place therein."""

    run_id: str
    token: int
    number: int
    at: int
    level: LogLevel
    task_id: str | None
    message: str  # JSON string
    data: str | None  # JSON object


class Job(Row, frozen=True, array_like=True, gc=False):
    """The user's definition as the platform knows it: the highest version any worker has advertised."""

    env_no: int
    id: str
    revision: int
    version: str
    name: str
    trigger: str  # JSON of a Trigger
    queue: str
    limit: int | None
    limit_key: str | None  # dotted path into the payload; each value is a line of its own
    priority: int
    on_success: bool
    on_failure: bool
    internal: bool  # a hook, not shown as a job
    schema: str | None  # JSON schema of the payload
    source: str | None  # file:line
    created_at: int
    updated_at: int
    paused_at: int | None


class Schedule(Row, frozen=True, array_like=True, gc=False):
    """Cron or interval that sends events to one job."""

    env_no: int
    id: str
    revision: int
    job: str
    timetable: str  # JSON of a Timetable
    catch_up: str
    overlap: str
    defined_at: int
    resumed_at: int  # last unpause; defined_at at first
    last_at: int | None  # planned time of the last fire
    next_at: int | None
    paused_at: int | None


class Queue(Row, frozen=True, array_like=True, gc=False):
    """A named line of runs with a limit on how many execute at once (per key, when its jobs name one)."""

    env_no: int
    name: str
    revision: int
    limit: int | None
    paused_at: int | None


class Minute(Row, frozen=True, array_like=True, gc=False):
    """How many runs of a job ended in one minute in one state with about one duration (a power of two in ms)."""

    env_no: int
    job: str
    minute: int  # instant // 60_000_000
    state: RunState
    bucket: int  # runs that took less than 2**bucket milliseconds
    runs: int


class Audit(Row, frozen=True, array_like=True, gc=False):
    """What a person or key did to something that ran: who, what, why."""

    id: str
    env_no: int
    at: int
    actor: str
    action: str
    subject: str
    reason: str


class Environment(Row, frozen=True, array_like=True, gc=False):
    """An isolated set of jobs and runs behind its API keys."""

    no: int
    slug: str
    kind: str  # development, staging, production, preview
    created_at: int


class ApiKey(Row, frozen=True, array_like=True, gc=False):
    """A key of an environment. Only its SHA-256 is kept, and its first characters to recognise it by."""

    digest: str
    env_no: int
    hint: str
    created_at: int
    revoked_at: int | None
