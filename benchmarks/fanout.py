"""W5: one run starts child runs and awaits them. Needs `io.invoke`, which the SDK does not have yet."""

from __future__ import annotations

from benchmarks.workload import Repetition, Setting, Unavailable, Workload


def children(setting: Setting) -> Repetition:
    """W5: seconds until the last child has ended and its parent with it."""
    raise Unavailable("not available yet: a job cannot invoke another one and await it")


W5 = Workload("W5", lambda _: "one run starts 1,000 child runs and awaits them", "none yet", children)
