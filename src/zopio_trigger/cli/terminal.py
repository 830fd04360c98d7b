"""Writing to a terminal from a thread: one that is paused (Ctrl+S, a selection) must not pause the platform."""

from __future__ import annotations

import logging
import os
import queue
import threading
import traceback
from typing import Final

import click

from zopio_trigger.cli.wording import LEVEL_COLOURS, clock
from zopio_trigger.model.durations import iso

WRITE_OUT_WITHIN: Final = 2.0  # seconds at the end for what is not written yet
MAX_WAITING: Final = 10_000  # texts that wait for the terminal; later ones are dropped
_LEVELS: Final = {"WARNING": "warn", "CRITICAL": "error"}


class Terminal:
    """Prints texts in the order given, without ever making the caller wait. May be used in signal handlers."""

    def __init__(self) -> None:
        # Said here, because click knows of NO_COLOR only in the thread of the command.
        self._colour = False if os.environ.get("NO_COLOR") else None
        self._texts: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="zopio-terminal", daemon=True)
        self._thread.start()

    def say(self, text: str) -> None:
        """Print this when the terminal takes it."""
        if self._texts.qsize() < MAX_WAITING:
            self._texts.put(text)

    def close(self) -> None:
        """Print what was said so far, for at most two seconds."""
        self._texts.put(None)
        self._thread.join(WRITE_OUT_WITHIN)

    def _write(self) -> None:
        while (text := self._texts.get()) is not None:
            try:
                click.echo(text, color=self._colour)
            except (OSError, ValueError):  # nobody reads us any more: the platform goes on
                return


class TerminalHandler(logging.Handler):
    """Log records of the process as lines between those of the runs."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        level = _LEVELS.get(record.levelname, record.levelname.lower())
        at = clock(iso(int(record.created * 1_000_000)), milliseconds=True)
        word = click.style(f"{level.upper():<5}", fg=LEVEL_COLOURS.get(level))
        text = f"{click.style(at, dim=True)} {word} {record.getMessage()}"
        if record.exc_info and record.exc_info[1] is not None:
            text += "\n" + "".join(traceback.format_exception(record.exc_info[1])).rstrip()
        self._terminal.say(text)


def log_to(terminal: Terminal, level: str | None) -> None:
    """Show log records: ours from INFO on, others' from WARNING on; or both from `level` on."""
    root = logging.getLogger()
    root.addHandler(TerminalHandler(terminal))
    root.setLevel("WARNING" if level is None else level.upper())
    logging.getLogger("zopio_trigger").setLevel("INFO" if level is None else level.upper())
