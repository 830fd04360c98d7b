"""`ctx`: what a job function may know about its run beside the payload."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class JobContext(Struct, frozen=True):
    """The job being run."""

    id: str
    version: str


class RunContext(Struct, frozen=True):
    """The run. `execution` counts the passes through the function, from 1; it grows after a restart, not on retry."""

    id: str
    is_test: bool
    started_at: datetime
    execution: int
    replay_of: str | None


class EventContext(Struct, frozen=True):
    """The event that started the run. `id` is the sender's id when one was given."""

    id: str
    name: str
    timestamp: datetime
    context: object


class EnvironmentContext(Struct, frozen=True):
    """The environment: its name and whether it is development, staging, production or preview."""

    slug: str
    type: str


class Context(Struct, frozen=True):
    """Passed to job functions that take a third parameter."""

    job: JobContext
    run: RunContext
    event: EventContext
    environment: EnvironmentContext
