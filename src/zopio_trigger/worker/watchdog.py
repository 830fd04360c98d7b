"""The watchdog: names the function that blocks the event loop, where everything else has to wait for it.

A thread of its own asks the loop for a sign of life twice a second. While none comes it looks at what the loop's thread
is doing.
"""

from __future__ import annotations

import asyncio
import linecache
import logging
import sys
import threading
from types import FrameType

from zopio_trigger.model.clock import Clock
from zopio_trigger.worker.failure import is_users_file

BLOCKED_AFTER = 1.0  # seconds without a sign of life: a sync call that should have been a task in a thread
ASK_EVERY = 0.5  # seconds between two questions; each costs both threads some microseconds
OVERSLEPT = 0.5  # seconds: when even this thread was late, the machine slept, and no function is to blame

log = logging.getLogger(__name__)


class Watchdog:
    """Watches one event loop from a thread.

    Parameters:
        clock: measures lengths.
        blocked_after: seconds; default 1.
        ask_every: seconds; default 0.5.
    """

    def __init__(
        self, clock: Clock, *, blocked_after: float = BLOCKED_AFTER, ask_every: float = ASK_EVERY
    ) -> None:
        self._clock = clock
        self._blocked_after = blocked_after
        self._ask_every = ask_every
        self._is_stopped = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch the running loop."""
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, name="zopio-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; the thread ends within a moment."""
        self._is_stopped.set()

    def _watch(self) -> None:
        while not self._is_stopped.wait(self._ask_every):
            answered = threading.Event()
            if not self._ask(answered):
                return
            asked_at = self._clock.monotonic()
            if answered.wait(self._blocked_after):
                continue
            waited = self._clock.monotonic() - asked_at
            if waited < self._blocked_after + OVERSLEPT:
                self._report(waited)
            while not (answered.wait(self._ask_every) or self._is_stopped.is_set()):
                """The same episode: it has been reported."""

    def _ask(self, answered: threading.Event) -> bool:
        """Ask the loop to set the event; False when the loop is closed."""
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(answered.set)
        except RuntimeError:
            return False
        return True

    def _report(self, waited: float) -> None:
        frame = sys._current_frames().get(self._loop_thread)
        if frame is not None:
            log.warning(
                "the event loop has been blocked for %.1f s by %s; nothing else runs meanwhile. Await what it calls, "
                "or make it a plain `def` task, which runs in a thread",
                waited,
                place_of(frame),
            )


def place_of(frame: FrameType) -> str:
    """Where user code is: `file:line in name (the line)`, of the innermost frame that is the user's."""
    shown = frame
    candidate: FrameType | None = frame
    while candidate is not None:
        if is_users_file(candidate.f_code.co_filename):
            shown = candidate
            break
        candidate = candidate.f_back
    code = shown.f_code
    line = linecache.getline(code.co_filename, shown.f_lineno).strip()
    return f"{code.co_filename}:{shown.f_lineno} in {code.co_qualname}" + (f" ({line})" if line else "")
