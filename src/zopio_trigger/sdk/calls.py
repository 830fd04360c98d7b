"""What `io` needs of the execution behind it: one method for each kind of call. The worker has the implementation."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from zopio_trigger.model.names import TaskKey
from zopio_trigger.model.retry import Retry
from zopio_trigger.model.states import LogLevel
from zopio_trigger.sdk.scope import CallSite
from zopio_trigger.transport.ports import ClientLink, EventRequest


class SentEvent(Struct, frozen=True):
    """An event that a run has sent."""

    id: str
    name: str


class TaskOptions(Struct, frozen=True):
    """How a task is to be tried."""

    retry: Retry | None = None
    timeout_seconds: float | None = None
    name: str | None = None
    durable_begin: bool = False
    overlap_ok: bool = False


class Calls(Protocol):
    """One execution, as `io` sees it. Keys are claimed when a method is called, not when its result is awaited."""

    is_cancelled: bool

    @property
    def link(self) -> ClientLink: ...

    def run_task(
        self, key: TaskKey, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any],
        options: TaskOptions, site: CallSite,
    ) -> Coroutine[Any, Any, Any]: ...  # fmt: skip

    def wait(
        self, key: TaskKey, length: int | None, until: int | None, site: CallSite
    ) -> Coroutine[Any, Any, None]: ...

    def send_events(
        self, key: TaskKey, events: Sequence[EventRequest], site: CallSite
    ) -> Coroutine[Any, Any, list[SentEvent]]: ...

    def value(self, key: TaskKey, make: Callable[[], object], site: CallSite) -> Coroutine[Any, Any, Any]: ...

    def known_value(self, key: TaskKey) -> Any:
        """What `value` has answered for this key in an earlier execution; None when it has not been asked."""

    def make_random(self) -> float: ...

    def make_uuid(self) -> str: ...

    def make_now(self) -> str: ...

    def log(self, level: LogLevel, message: object, data: Mapping[str, object]) -> None: ...
