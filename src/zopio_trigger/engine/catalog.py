"""What is defined in one environment: jobs, schedules, queues, and who listens to which event name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, overload

from msgspec import Struct

from zopio_trigger.model.filters import Filter, compile_filter
from zopio_trigger.model.records import Job, Queue, Schedule
from zopio_trigger.model.trigger import EventTrigger, trigger_of


class Subscription(Struct, frozen=True):
    """Event name and filter -> job."""

    job: Job
    source: str
    filter: Filter | None


class Catalog:
    """All definitions of one environment; small, so it is held in memory as a whole."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.schedules: dict[str, Schedule] = {}
        self.queues: dict[str, Queue] = {}
        self._listeners: dict[str, dict[str, Subscription]] = {}  # event name -> job id -> subscription

    def subscriptions(self, event_name: str) -> Iterator[Subscription]:
        return iter(self._listeners.get(event_name, {}).values())

    @property
    def event_names(self) -> list[str]:
        return list(self._listeners)

    @overload
    def known(self, row: Job) -> Job | None: ...
    @overload
    def known(self, row: Schedule) -> Schedule | None: ...
    @overload
    def known(self, row: Queue) -> Queue | None: ...
    def known(self, row: Job | Schedule | Queue) -> Job | Schedule | Queue | None:
        """The row that stands where this one would be put."""
        return self._shelf(row).get(_name(row))

    def put(self, row: Job | Schedule | Queue) -> None:
        if isinstance(row, Job):
            self._unsubscribe(row.id)
            self._subscribe(row)
        self._shelf(row)[_name(row)] = row

    def drop(self, row: Job | Schedule | Queue) -> None:
        if isinstance(row, Job):
            self._unsubscribe(row.id)
        self._shelf(row).pop(_name(row), None)

    def _shelf(self, row: Job | Schedule | Queue) -> dict[str, Any]:
        if isinstance(row, Job):
            return self.jobs
        return self.schedules if isinstance(row, Schedule) else self.queues

    def _subscribe(self, job: Job) -> None:
        trigger = trigger_of(job.trigger)
        if not isinstance(trigger, EventTrigger):
            return
        filter = compile_filter(trigger.filter) if trigger.filter else None
        subscription = Subscription(job, trigger.source, filter)
        for name in trigger.names:
            self._listeners.setdefault(name, {})[job.id] = subscription

    def _unsubscribe(self, job_id: str) -> None:
        for name in [name for name, listeners in self._listeners.items() if job_id in listeners]:
            del self._listeners[name][job_id]
            if not self._listeners[name]:
                del self._listeners[name]


def _name(row: Job | Schedule | Queue) -> str:
    return row.name if isinstance(row, Queue) else row.id
