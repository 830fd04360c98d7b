"""The states of runs and tasks, and what each is called on our surfaces. One table, read by everyone."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

RunState = Literal[
    "ready",
    "executing",
    "suspended",
    "completed",
    "failed",
    "timed_out",
    "cancelled",
    "invalid_payload",
    "crashed",
]
TaskState = Literal["running", "waiting", "completed", "failed", "cancelled"]
TaskKind = Literal["task", "wait", "event", "value"]
LogLevel = Literal["debug", "info", "warn", "error"]


class Words(NamedTuple):
    """What one run state is called: to people (dashboard, command line) and in the 2.x protocol."""

    people: str
    v2: str
    final: bool


RUN_STATES: Final[dict[str, Words]] = {
    "ready": Words("queued", "QUEUED", final=False),
    "executing": Words("running", "EXECUTING", final=False),
    "suspended": Words("waiting", "WAITING_TO_CONTINUE", final=False),
    "completed": Words("completed", "SUCCESS", final=True),
    "failed": Words("failed", "FAILURE", final=True),
    "timed_out": Words("timed out", "TIMED_OUT", final=True),
    "cancelled": Words("cancelled", "CANCELED", final=True),
    "invalid_payload": Words("invalid payload", "INVALID_PAYLOAD", final=True),
    "crashed": Words("crashed", "FAILURE", final=True),
}

TASK_STATES_V2: Final[dict[str, str]] = {
    "running": "RUNNING",
    "waiting": "WAITING",
    "completed": "COMPLETED",
    "failed": "ERRORED",
    "cancelled": "CANCELED",
}

FINAL_RUN_STATES: Final = frozenset(state for state, words in RUN_STATES.items() if words.final)
OPEN_TASK_STATES: Final = frozenset({"running", "waiting"})


def is_final(state: str) -> bool:
    """True when a run in this state has ended and will not change by itself."""
    return state in FINAL_RUN_STATES
