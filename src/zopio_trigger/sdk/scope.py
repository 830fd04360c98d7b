"""Where in a run code is: which body an `io` call is made from. Carried by a context variable, so that it follows
`await`, `asyncio.gather`, task groups and threads."""

from __future__ import annotations

from contextvars import ContextVar
from types import CodeType
from typing import Protocol

from zopio_trigger.transport.ports import EventRequest

CallSite = tuple[CodeType, int]


class Sender(Protocol):
    """The part of an execution that a plain `send_event` inside a run needs."""

    def derive(self, event: EventRequest, scope: Scope) -> EventRequest:
        """The event with an id that follows from the run, the place and the payload: sent again, it is the same."""


class Scope:
    """One body that makes `io` calls: the job's function, or one attempt of a task."""

    __slots__ = ("execution", "hash", "open", "sent", "task_id", "used")

    def __init__(self, execution: Sender, hash: str | None, task_id: str | None) -> None:
        self.execution = execution
        self.hash = hash
        self.task_id = task_id
        self.open = 0  # io calls in progress that were made from here
        self.used: dict[str, CallSite] = {}  # hash of each key used here, and where
        self.sent: dict[str, int] = {}  # how often an identical event was sent from here


current: ContextVar[Scope | None] = ContextVar("zopio_trigger_scope", default=None)
