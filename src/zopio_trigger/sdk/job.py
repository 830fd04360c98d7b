"""A job as its author defines it: checked when it is defined, so that nothing about it can be wrong at run time."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from zopio_trigger.errors import ConfigurationError
from zopio_trigger.model.names import check_name, check_version, slugify
from zopio_trigger.model.records import Job, Schedule
from zopio_trigger.model.trigger import EventTrigger, InvokeTrigger, ScheduleTrigger, Trigger, text_of
from zopio_trigger.sdk.annotation import payload_annotation
from zopio_trigger.sdk.codec import Codec, codec_for, result_codec
from zopio_trigger.sdk.context import Context
from zopio_trigger.sdk.io import IO
from zopio_trigger.sdk.limit import Limit, check_limit
from zopio_trigger.sdk.schema import json_schema
from zopio_trigger.sdk.syncio import SyncIO

MAX_PRIORITY = 1_000

JobFunction = (
    Callable[[Any, IO], Awaitable[Any]]
    | Callable[[Any, IO, Context], Awaitable[Any]]
    | Callable[[Any, SyncIO], Any]
    | Callable[[Any, SyncIO, Context], Any]
)
"""What can be a job: `async def` with `IO`, or `def` with `SyncIO`, and `ctx` if it wants it."""


class JobDefinition:
    """One job: what it is called, what starts it, the function it runs.

    Calling the definition calls the function, so a decorated function can be tested as it stands.
    """

    def __init__(
        self, function: Callable[..., Any], *, id: str | None, name: str | None, version: str, trigger: Trigger,
        schema: object = None, concurrency: int | Limit | None = None, priority: int = 0,
        on_success: Callable[..., Any] | None = None, on_failure: Callable[..., Any] | None = None,
        internal: bool = False,
    ) -> None:  # fmt: skip
        self.function = function
        given = id if id is not None else getattr(function, "__name__", "")
        self.id = check_name(given, "job id") if internal else slugify(given, "job id")
        self.name = check_name(name, "job name") if name is not None else self.id
        self.version = check_version(version, f"the version of job {self.id!r}")
        self.trigger = _check_trigger(trigger, self.id)
        self.internal = internal
        self.is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004  # an object whose call is async
        )
        self.takes_context = _takes_context(function, self.id)
        _check_io(function, self)
        self.limit = _limit_of(concurrency, self)
        self.priority = _check_priority(priority, self.id)
        self.hooks = _hooks_of(self, on_success, on_failure)
        self._annotation = schema if schema is not None else payload_annotation(function)
        self._payload: Codec = codec_for(self._annotation)
        self.decode = self._payload.decode
        self._result = result_codec(function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<job {self.id} {self.version}>"

    def encode(self, output: object) -> str:
        """The function's return value as JSON text."""
        return self._result.encode(output, f"the output of job {self.id!r}")

    def json_schema(self) -> dict[str, Any] | None:
        """The JSON Schema of the payload, when it is typed."""
        return json_schema(self._annotation)

    @property
    def source(self) -> str | None:
        """Where the function stands, as `file:line`."""
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        return None if code is None else f"{code.co_filename}:{code.co_firstlineno}"

    def row(self, env_no: int) -> Job:
        """The job as the platform is told of it."""
        schema = self.json_schema()
        return Job(
            env_no=env_no, id=self.id, revision=1, version=self.version, name=self.name, trigger=text_of(self.trigger),
            queue=self.limit.queue if self.limit is not None else self.id,
            limit=self.limit.limit if self.limit is not None else None,
            limit_key=self.limit.key if self.limit is not None else None,
            priority=self.priority, on_success="on_success" in self.hooks, on_failure="on_failure" in self.hooks,
            internal=self.internal, schema=None if schema is None else msgspec.json.encode(schema).decode(),
            source=self.source, created_at=0, updated_at=0, paused_at=None,
        )  # fmt: skip

    def schedule(self, env_no: int) -> Schedule | None:
        """The job's schedule as the platform is told of it, when it has one."""
        if not isinstance(self.trigger, ScheduleTrigger):
            return None
        return Schedule(
            env_no=env_no, id=self.id, revision=1, job=self.id, timetable=text_of(self.trigger),
            catch_up=self.trigger.catch_up, overlap=self.trigger.overlap, defined_at=0, resumed_at=0,
            last_at=None, next_at=None, paused_at=None,
        )  # fmt: skip


def _takes_context(function: Callable[..., Any], id: str) -> bool:
    """Whether the function wants `ctx`; refuses one that cannot be called with (payload, io)."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"job {id!r} needs a function, not {function!r}") from error
    for count in (3, 2):
        try:
            signature.bind(*range(count))
        except TypeError:
            continue
        return count == 3
    raise ConfigurationError(
        f"the function of job {id!r} takes {signature}; it is called with (payload, io) or (payload, io, ctx)"
    )


def _check_trigger(trigger: object, id: str) -> Trigger:
    if isinstance(trigger, EventTrigger | ScheduleTrigger | InvokeTrigger):
        return trigger
    raise ConfigurationError(
        f"the trigger of job {id!r} is {trigger!r}; write client.triggers.event(...), .schedule(...), .interval(...) "
        "or .invoke()"
    )


def _check_io(function: Callable[..., Any], job: JobDefinition) -> None:
    """Refuse the `io` of the other colour: its calls would never be awaited, or could not be."""
    annotations = [*getattr(function, "__annotations__", {}).values()]
    wrong, right = (SyncIO, IO) if job.is_async else (IO, SyncIO)
    if wrong in annotations or wrong.__name__ in annotations:
        colour = "async def" if job.is_async else "def"
        raise ConfigurationError(
            f"job {job.id!r} is `{colour}`: its io is {right.__name__}, not {wrong.__name__}"
        )


def _limit_of(concurrency: int | Limit | None, job: JobDefinition) -> Limit | None:
    is_queued = isinstance(job.trigger, ScheduleTrigger) and job.trigger.overlap == "queue"
    if is_queued and concurrency not in (None, 1):
        raise ConfigurationError(
            f'job {job.id!r} has overlap="queue", which means one run at a time; leave concurrency out or make it 1'
        )
    if is_queued:
        return Limit(job.id, 1)
    if concurrency is None or isinstance(concurrency, Limit):
        return concurrency
    return Limit(job.id, check_limit(concurrency, job.id))


def _check_priority(priority: object, id: str) -> int:
    if isinstance(priority, bool) or not isinstance(priority, int) or abs(priority) > MAX_PRIORITY:
        raise ConfigurationError(
            f"priority of job {id!r} is {priority!r}; give a whole number from -{MAX_PRIORITY} to {MAX_PRIORITY}"
        )
    return priority


def _hooks_of(
    job: JobDefinition, on_success: Callable[..., Any] | None, on_failure: Callable[..., Any] | None
) -> Mapping[str, JobDefinition]:
    """Hooks are jobs of their own, which the end of a run starts."""
    given = {"on_success": on_success, "on_failure": on_failure}
    return {
        hook: JobDefinition(
            function, id=f"{job.id}/{hook.replace('_', '-')}", name=f"{job.name} ({hook})", version=job.version,
            trigger=InvokeTrigger(), internal=True,
        )
        for hook, function in given.items()
        if function is not None
    }  # fmt: skip
