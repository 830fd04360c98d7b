"""Medians over repetitions, shown to people and written as JSON. Every repetition is kept beside its median."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.machine import Machine
from benchmarks.workload import Figures, Repetition, Sizes, Workload

SYNC = "fdatasync_p50_us"


@dataclass(slots=True)
class Report:
    """What has been measured so far: the repetitions of each workload, or why there are none."""

    machine: Machine
    measured: dict[str, list[Repetition]] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)

    def json(self) -> bytes:
        """The report as JSON: one object a workload, beside `machine` and `reference`."""
        content: dict[str, Any] = {"machine": self.machine, "reference": self._reference()}
        for name, repetitions in self.measured.items():
            content[name] = _summary([repetition.figures for repetition in repetitions])
        content |= dict.fromkeys(self.unavailable)
        return msgspec.json.format(msgspec.json.encode(content), indent=2)

    def write(self, path: Path) -> None:
        """Write the report as JSON; folders are made when missing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.json() + b"\n")

    def _reference(self) -> dict[str, Any]:
        """What the workloads were held against, and the disk under all of them."""
        beside = {
            name: [repetition.reference for repetition in repetitions]
            for name, repetitions in self.measured.items()
        }
        syncs = [figures[SYNC] for repetitions in beside.values() for figures in repetitions]
        by_workload = {name: _summary(repetitions) for name, repetitions in beside.items()}
        return {SYNC: statistics.median(syncs) if syncs else None, **by_workload}


def medians(repetitions: Sequence[Figures]) -> Figures:
    """The median of each figure; the names are those of the first repetition."""
    return {name: statistics.median(figures[name] for figures in repetitions) for name in repetitions[0]}


def _summary(repetitions: Sequence[Figures]) -> dict[str, Any]:
    return {**medians(repetitions), "repetitions": list(repetitions)}


# --- for people


def show_machine(machine: Machine, say: Callable[[str], None]) -> None:
    """The machine and the settings, and a warning when the machine is busy."""
    for name, value in msgspec.to_builtins(machine).items():
        text = " ".join(f"{part:.2f}" for part in value) if isinstance(value, list | tuple) else str(value)
        say(f"{name.replace('_', ' '):<14}{text}")
    if machine.sizes != "full":
        say("\nThese sizes only show that everything works; the figures mean nothing.")
    if not machine.is_quiet:
        say(f"\nThe machine is busy (load {machine.load_before[0]:.2f}): do not conclude from these figures.")


def show_heading(workload: Workload, sizes: Sizes, say: Callable[[str], None]) -> None:
    say(f"\n{workload.name}  {workload.scene(sizes)}\n    budget: {workload.budget}")


def show_workload(repetitions: Sequence[Repetition], say: Callable[[str], None]) -> None:
    """Each figure with its median and its repetitions; ours first, then what was measured beside it."""
    for line in _lines([repetition.figures for repetition in repetitions], prefix=""):
        say(line)
    for line in _lines([repetition.reference for repetition in repetitions], prefix="beside: "):
        say(line)


def _lines(repetitions: Sequence[Figures], *, prefix: str) -> Iterable[str]:
    for name, median in medians(repetitions).items():
        each = " ".join(f"{_shown(figures[name]):>9}" for figures in repetitions)
        yield f"    {prefix + name:<34}{_shown(median):>10}    ({each})"


def _shown(value: float) -> str:
    """As many digits as say something."""
    if abs(value) >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.4f}"
