"""What is to be done once a batch is on disk. Losing an effect loses time, never a fact: every one of them can be
found again in the store."""

from __future__ import annotations

from msgspec import Struct

from zopio_trigger.model.records import Event, Line, LogLine, Run, Task


class Effect(Struct, frozen=True, gc=False):
    """Something to do after the commit."""


class Start(Effect, frozen=True, gc=False):
    """Tell the holder to execute a run from the top. `event` is at hand when the run is new."""

    run: Run
    event: Event | None


class Resume(Effect, frozen=True, gc=False):
    """Tell the holder that the run in its memory has a slot again."""

    run: Run


class Wake(Effect, frozen=True, gc=False):
    """Tell the holder that a task went on by itself."""

    worker: str
    task: Task


class Stop(Effect, frozen=True, gc=False):
    """Tell a worker that a run it held has been cancelled."""

    worker: str
    run_id: str


class LineReady(Effect, frozen=True, gc=False):
    """A run waits in this line."""

    line: Line


class SlotFreed(Effect, frozen=True, gc=False):
    """A run left the executing state: somebody else may."""

    line: Line


class TimerSet(Effect, frozen=True, gc=False):
    """Something will be due at this instant."""

    at: int


class Logged(Effect, frozen=True, gc=False):
    """Jobs wrote these lines."""

    lines: tuple[LogLine, ...]


class Changed(Effect, frozen=True, gc=False):
    """A run went from one state to another: whoever follows it may look."""

    run: Run
    task: Task | None = None


News = Changed | Logged
"""What followers hear."""
