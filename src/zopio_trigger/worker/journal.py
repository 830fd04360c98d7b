"""The lines a run logs, until they are stored.

Lines written by the job's function itself are kept apart for each branch, because a branch that is executed again
writes again what an earlier execution has stored already: when the task of the next `io` call has a row, the lines
before that call are dropped, otherwise they are new. Lines from inside a task's body always are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from zopio_trigger.errors import InvalidInput
from zopio_trigger.model import json
from zopio_trigger.model.records import LogLine
from zopio_trigger.model.states import LogLevel

MAX_LINE = 32_768  # bytes of a message, and of its data, that are kept


class Branch:
    """Code of a run that goes on by itself beside other code: an asyncio task, or the thread of a sync job."""

    __slots__ = ("parent", "task")

    def __init__(self, task: asyncio.Task[Any] | None = None, parent: Branch | None = None) -> None:
        self.task = task
        self.parent = parent

    def comes_after(self, other: Branch) -> bool:
        """True when what the other wrote so far comes before what this one does now: it is this one, the one it was
        begun by, or one begun by it that has ended."""
        return self._is_within(other) or (other._has_ended and other._is_within(self))

    @property
    def _has_ended(self) -> bool:
        return self.task is not None and self.task.done()

    def _is_within(self, other: Branch) -> bool:
        branch: Branch | None = self
        while branch is not None and branch is not other:
            branch = branch.parent
        return branch is other


class Journal:
    """The unsaved lines of one execution."""

    __slots__ = ("_branches", "_kept", "_number", "_run_id", "_token")

    def __init__(self, run_id: str, token: int) -> None:
        self._run_id = run_id
        self._token = token
        self._number = 0
        self._kept: list[LogLine] = []
        self._branches: dict[Branch, list[LogLine]] = {}

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
        branch: Branch,
    ) -> None:
        """Keep a line: for its branch when the job's function wrote it, for good when a task's body did."""
        self.write_encoded(at, level, message_json(message), data_json(data), task_id, branch)

    def write_encoded(
        self, at: int, level: LogLevel, message: str, data: str | None, task_id: str | None, branch: Branch
    ) -> None:
        """Keep a line whose message and data are JSON already."""
        self._number += 1
        line = LogLine(self._run_id, self._token, self._number, at, level, task_id, message, data)
        if task_id is None:
            self._branches.setdefault(branch, []).append(line)
        else:
            self._kept.append(line)

    def drop(self, branch: Branch) -> None:
        """The branch was answered from memory: an earlier execution has stored the lines that come before."""
        self._before(branch)

    def keep(self, branch: Branch) -> None:
        """The branch asks for something new: so are the lines that come before."""
        self._kept += self._before(branch)

    def _before(self, branch: Branch) -> list[LogLine]:
        """Take the undecided lines out that come before what a branch does now."""
        earlier = [other for other in self._branches if branch.comes_after(other)]
        return [line for other in earlier for line in self._branches.pop(other)]

    def take(self) -> tuple[LogLine, ...]:
        """The lines known to be new: they ride with the next write."""
        lines, self._kept = self._kept, []
        return tuple(lines)

    def take_all(self) -> tuple[LogLine, ...]:
        """Every unsaved line, of all branches."""
        lines = sorted(
            (line for lines in (self._kept, *self._branches.values()) for line in lines),
            key=lambda line: line.number,
        )
        self._kept, self._branches = [], {}
        return tuple(lines)


def message_json(message: object) -> str:
    """The text of a line as JSON, cut to size."""
    return json.encode(
        json.clip(message if isinstance(message, str) else _text(message), MAX_LINE), what="log line"
    )


def _text(message: object) -> str:
    try:
        return str(message)
    except Exception as fault:  # user code; a line that cannot be written must not end the run
        return f"(a {type(message).__name__} whose text could not be read: {type(fault).__name__})"


def data_json(data: Mapping[str, object]) -> str | None:
    """The data as JSON; what JSON cannot carry is shown as text."""
    if not data:
        return None
    try:
        text = json.encode(data, what="data")
    except InvalidInput:
        text = json.encode(
            {json.clip(_text(key), 1_024): json.clip(_text(value), 1_024) for key, value in data.items()},
            what="data",
        )
    if len(text) <= MAX_LINE:
        return text
    return json.encode({"cut": json.clip(text, MAX_LINE)}, what="data")
