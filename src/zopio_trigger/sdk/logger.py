"""`io.logger`: lines that belong to a run. Writing one costs no commit: it rides with the next."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Final

from zopio_trigger.model.states import LogLevel
from zopio_trigger.sdk.calls import Calls


class _Done:
    """Awaitable for those who write `await io.logger.info(…)`, as the 2.x SDK wants it; not awaiting it is fine."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


DONE: Final = _Done()


class Logger:
    """Writes log lines of the run, with data given as a mapping, as keywords, or both.

    A line outside tasks is written once per run even when the function is executed again; a line inside a task is
    written each time the task's body runs. Lines are on disk with the run's next write, or after 50 ms.

    Example:
        >>> await io.logger.info("Sending welcome email", {"userId": "user_123"})
    """

    __slots__ = ("_calls",)

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def debug(self, message: object, data: Mapping[str, object] | None = None, /, **fields: object) -> _Done:
        return self._write("debug", message, data, fields)

    def info(self, message: object, data: Mapping[str, object] | None = None, /, **fields: object) -> _Done:
        return self._write("info", message, data, fields)

    def warn(self, message: object, data: Mapping[str, object] | None = None, /, **fields: object) -> _Done:
        return self._write("warn", message, data, fields)

    def error(self, message: object, data: Mapping[str, object] | None = None, /, **fields: object) -> _Done:
        return self._write("error", message, data, fields)

    warning = warn
    log = info

    def _write(
        self, level: LogLevel, message: object, data: Mapping[str, object] | None, fields: dict[str, object]
    ) -> _Done:
        self._calls.log(level, message, {**data, **fields} if data else fields)
        return DONE
