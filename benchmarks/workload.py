"""What a workload is: a name, its sizes, and one repetition of it measured beside what it is held against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.place import Place

Figures = dict[str, float]
"""Measured values by name; the unit is the end of the name."""

A = TypeVar("A")
B = TypeVar("B")


class Unavailable(Exception):
    """The workload cannot be measured here or yet; the message says why."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much each workload does. The defaults are what published figures are measured with."""

    w1_events: int = 2_000
    w1_at_once: int = 50
    w1h_events: int = 4_000
    w1h_connections: int = 8
    w1h_bulks: int = 20
    w1h_bulk: int = 1_000
    w2_runs: int = 200
    w2_tasks: int = 20
    w3_events: int = 200
    w3_pause_seconds: float = 0.005  # long enough for loop and threads to fall asleep between two events
    w4_tasks: int = 500
    w6_runs: int = 5_000
    w6_filling_events: int = 8_000
    w6_idle_seconds: float = 5.0
    w7_runs: int = 500
    w7_tasks: int = 5
    w7_body_ms: int = 20
    w7_killed_at: float = 0.3  # share of the task bodies that have ended
    disk_appends: int = 200


FULL = Sizes()
TINY = Sizes(
    w1_events=40, w1_at_once=10, w1h_events=20, w1h_connections=2, w1h_bulks=2, w1h_bulk=10, w2_runs=5, w2_tasks=3,
    w3_events=5, w3_pause_seconds=0.001, w4_tasks=10, w6_runs=30, w6_filling_events=20, w6_idle_seconds=0.1,
    w7_runs=10, w7_tasks=3, w7_body_ms=20, w7_killed_at=0.5, disk_appends=5,
)  # fmt: skip
"""For trying whether everything works. Figures of this size mean nothing."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and how large one repetition is. `number` counts repetitions from 0."""

    sizes: Sizes
    place: Place
    number: int


@dataclass(frozen=True, slots=True)
class Repetition:
    """One repetition: our figures, and those of what was measured right beside them."""

    figures: Figures
    reference: Figures


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload of the suite.

    `measure` does one repetition. `scene` says in one line what it does, `budget` what its figures are held to.
    """

    name: str
    scene: Callable[[Sizes], str]
    budget: str
    measure: Callable[[Setting], Repetition]


def beside(setting: Setting, reference: Callable[[], A], ours: Callable[[], B]) -> tuple[A, B]:
    """Measure two things one after the other. Which goes first changes with each repetition, so that a machine
    that gets slower or faster by the minute favours neither."""
    if setting.number % 2 == 0:
        first = reference()
        return first, ours()
    second = ours()
    return reference(), second
