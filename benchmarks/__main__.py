"""`python -m benchmarks W1 W2 … [--store URL] [--json FILE] [--repeat N]`: measure and report."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks import machine, report
from benchmarks.cold_start import W8
from benchmarks.fanout import W5
from benchmarks.http_sending import W1H
from benchmarks.latency import W3, W4
from benchmarks.place import Place
from benchmarks.recovery import W7
from benchmarks.report import Report
from benchmarks.sleeping import W6
from benchmarks.throughput import W1, W2
from benchmarks.workload import FULL, TINY, Setting, Sizes, Unavailable, Workload

WORKLOADS = {workload.name: workload for workload in (W1, W1H, W2, W3, W4, W5, W6, W7, W8)}
FEWEST_REPETITIONS = 3  # a median of fewer says nothing about how much figures vary


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    asked = _parser().parse_args(arguments)
    place = Place(asked.store)
    names = asked.workloads or list(WORKLOADS)
    sizes, sizes_name = (TINY, "tiny") if asked.tiny else (FULL, "full")
    found = Report(machine.look(place, repetitions=asked.repeat, sizes=sizes_name))
    report.show_machine(found.machine, _say)
    try:
        measure([WORKLOADS[name] for name in names], found, place=place, sizes=sizes, repeat=asked.repeat)
    finally:  # what was measured before something went wrong is worth keeping
        if asked.json is not None:
            found.write(asked.json)
    return 0


def measure(workloads: Iterable[Workload], found: Report, *, place: Place, sizes: Sizes, repeat: int) -> None:
    """Measure workload after workload, all repetitions of one before the next, and show each when it is done."""
    for workload in workloads:
        report.show_heading(workload, sizes, _say)
        try:
            repetitions = [workload.measure(Setting(sizes, place, number)) for number in range(repeat)]
        except Unavailable as reason:
            found.unavailable[workload.name] = str(reason)
            _say(f"    {reason}")
            continue
        found.measured[workload.name] = repetitions
        report.show_workload(repetitions, _say)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "workloads", nargs="*", metavar="W", help=f"which to measure: {', '.join(WORKLOADS)}; default all",
        type=_workload,
    )  # fmt: skip
    parser.add_argument("--store", metavar="URL", help="default: fresh SQLite files on the repository's disk")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the report there, too")
    parser.add_argument(
        "--repeat", metavar="N", type=_repetitions, default=FEWEST_REPETITIONS,
        help=f"repetitions of each workload, at least {FEWEST_REPETITIONS} (the default)",
    )  # fmt: skip
    parser.add_argument(
        "--tiny", action="store_true", help="only see that everything works; the figures mean nothing"
    )
    return parser


def _workload(name: str) -> str:
    known = {known.lower(): known for known in WORKLOADS}
    if name.lower() not in known:
        raise argparse.ArgumentTypeError(f"there is no workload {name!r}; there are {', '.join(WORKLOADS)}")
    return known[name.lower()]


def _repetitions(text: str) -> int:
    if not text.isdigit() or int(text) < FEWEST_REPETITIONS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least {FEWEST_REPETITIONS}")
    return int(text)


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
