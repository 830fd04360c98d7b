"""The lines a run logs, until they are stored.

Lines written by the job's function itself are kept apart for each branch (asyncio task), because a branch that is
executed again writes again what an earlier execution has stored already: when its next `io` call is answered from
memory, the lines before that call are dropped. Lines from inside a task's body are always new.
"""

from __future__ import annotations

from collections.abc import Mapping

from zopio_trigger.errors import InvalidInput
from zopio_trigger.model import json
from zopio_trigger.model.records import LogLine
from zopio_trigger.model.states import LogLevel

MAX_LINE = 32_768  # bytes of a message, and of its data, that are kept


class Journal:
    """The unsaved lines of one execution."""

    __slots__ = ("_branches", "_kept", "_number", "_run_id", "_token")

    def __init__(self, run_id: str, token: int) -> None:
        self._run_id = run_id
        self._token = token
        self._number = 0
        self._kept: list[LogLine] = []
        self._branches: dict[object, list[LogLine]] = {}

    @property
    def is_empty(self) -> bool:
        return not self._kept and not self._branches

    def write(
        self,
        at: int,
        level: LogLevel,
        message: object,
        data: Mapping[str, object],
        task_id: str | None,
        branch: object,
    ) -> None:
        """Keep a line: for its branch when the job's function wrote it, for good when a task's body did."""
        self._number += 1
        line = LogLine(
            self._run_id, self._token, self._number, at, level, task_id, _message(message), _data(data)
        )
        if task_id is None:
            self._branches.setdefault(branch, []).append(line)
        else:
            self._kept.append(line)

    def drop(self, branch: object) -> None:
        """The branch was answered from memory: an earlier execution has stored these lines."""
        self._branches.pop(branch, None)

    def take(self, branch: object) -> tuple[LogLine, ...]:
        """The lines that ride with the next write of this branch."""
        if self.is_empty:
            return ()
        lines = self._kept + self._branches.pop(branch, [])
        self._kept = []
        return tuple(lines)

    def take_all(self) -> tuple[LogLine, ...]:
        """Every unsaved line, of all branches."""
        lines = sorted(
            (line for lines in (self._kept, *self._branches.values()) for line in lines),
            key=lambda line: line.number,
        )
        self._kept, self._branches = [], {}
        return tuple(lines)


def _message(message: object) -> str:
    return json.encode(
        json.clip(message if isinstance(message, str) else _text(message), MAX_LINE), what="log line"
    )


def _text(message: object) -> str:
    try:
        return str(message)
    except Exception as fault:  # user code; a line that cannot be written must not end the run
        return f"(a {type(message).__name__} whose text could not be read: {type(fault).__name__})"


def _data(data: Mapping[str, object]) -> str | None:
    """The data as JSON; what JSON cannot carry is shown as text."""
    if not data:
        return None
    try:
        text = json.encode(data, what="data")
    except InvalidInput:
        text = json.encode(
            {str(key): json.clip(_text(value), 1_024) for key, value in data.items()}, what="data"
        )
    if len(text) <= MAX_LINE:
        return text
    return json.encode({"cut": json.clip(text, MAX_LINE)}, what="data")
