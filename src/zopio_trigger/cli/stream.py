"""Server-sent events of the native API: read in a thread, so that waiting for them can be interrupted, and followed
again where they broke off when the connection is lost."""

from __future__ import annotations

import http.client
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from zopio_trigger.cli.output import remark
from zopio_trigger.cli.remote import Channel
from zopio_trigger.cli.target import Teller
from zopio_trigger.errors import Unreachable
from zopio_trigger.model.clock import Clock, SystemClock
from zopio_trigger.model.views import LogView, RunView, TaskView

MOST_AT_ONCE: Final = 500  # frames
GATHER_FOR: Final = 0.03  # seconds in which news that belong together arrive
TRY_AGAIN_FOR: Final = 30.0  # seconds a lost connection is tried again: a server that restarts needs less
TRY_EVERY: Final = 0.5  # seconds
THREAD_ENDS_WITHIN: Final = 1.0  # seconds
LOOK_EVERY: Final = 0.2  # seconds after which Ctrl+C is noticed at the latest

Open = Callable[[str, str | None], Channel]


class _TaskNews(Struct, rename="camel"):
    run_id: str
    task: TaskView


class _LogNews(Struct, rename="camel"):
    run_id: str
    line: LogView


class _Lost(Struct):
    dropped: int


class Frame(NamedTuple):
    """One event of a stream."""

    kind: str
    data: str
    cursor: str | None


class Stream:
    """A stream of the native API.

    Parameters:
        open: opens the path, after a cursor.
        has_end: the server ends it with `end`; otherwise it goes on for ever.
    """

    def __init__(self, open: Open, path: str, *, has_end: bool, clock: Clock | None = None) -> None:
        self._open = open
        self._path = path
        self._has_end = has_end
        self._clock = clock or SystemClock()
        self._cursor: str | None = None
        self._frames: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()

    def tell(self, teller: Teller, *, within: float | None = None) -> Iterator[None]:
        """Tell everything; see `Target.follow`."""
        give_up_at = None if within is None else self._clock.monotonic() + within
        channel = self._open(self._path, None)
        while True:
            thread = self._read_in_thread(channel)
            try:
                for frames in self._batches(give_up_at):
                    for frame in frames:
                        self._tell_one(frame, teller)
                    yield
            finally:
                channel.end()
                thread.join(THREAD_ENDS_WITHIN)
            if self._has_ended:
                return
            channel = self._open_again(give_up_at)

    def _read_in_thread(self, channel: Channel) -> threading.Thread:
        self._has_ended = False
        self._frames = queue.SimpleQueue()
        thread = threading.Thread(
            target=_read, args=(channel, self._frames), name="zopio-stream", daemon=True
        )
        thread.start()
        return thread

    def _batches(self, give_up_at: float | None) -> Iterator[list[Frame]]:
        """Frames that arrived together, until the stream ends or breaks."""
        while (first := self._next(give_up_at)) is not None:
            yield [first, *self._soon()]

    def _soon(self) -> list[Frame]:
        """The frames that follow at once."""
        frames: list[Frame] = []
        while len(frames) < MOST_AT_ONCE:
            try:
                frame = self._frames.get(timeout=GATHER_FOR)
            except queue.Empty:
                break
            if frame is None:
                self._frames.put(None)  # for whoever asks next
                break
            frames.append(frame)
        return frames

    def _next(self, give_up_at: float | None) -> Frame | None:
        while True:
            if give_up_at is not None and self._clock.monotonic() >= give_up_at:
                raise TimeoutError
            try:
                return self._frames.get(timeout=LOOK_EVERY)
            except queue.Empty:
                continue

    def _open_again(self, give_up_at: float | None) -> Channel:
        """The stream from where it broke off; the error when the server does not come back."""
        remark("the connection was lost; trying again")
        pause = threading.Event()
        until = self._clock.monotonic() + TRY_AGAIN_FOR
        while True:
            try:
                return self._open(self._path, self._cursor if self._has_end else None)
            except Unreachable:
                if self._clock.monotonic() >= until:
                    raise
            if give_up_at is not None and self._clock.monotonic() >= give_up_at:
                raise TimeoutError
            pause.wait(TRY_EVERY)

    def _tell_one(self, frame: Frame, teller: Teller) -> None:
        self._cursor = frame.cursor or self._cursor
        match frame.kind:
            case "end":
                self._has_ended = True
            case "run":
                teller.run(msgspec.json.decode(frame.data, type=RunView))
            case "task":
                task = msgspec.json.decode(frame.data, type=_TaskNews)
                teller.task(task.run_id, task.task)
            case "log":
                log = msgspec.json.decode(frame.data, type=_LogNews)
                teller.log(log.run_id, log.line)
            case "resync":
                lost = msgspec.json.decode(frame.data, type=_Lost)
                remark(f"… {lost.dropped:,} changes were too many to follow")


def _read(channel: Channel, frames: queue.SimpleQueue[Frame | None]) -> None:
    """Read frames until the stream ends or breaks, which None stands for."""
    fields: dict[str, str] = {}
    try:
        for raw in channel.response:
            line = raw.decode().rstrip("\r\n")
            if line:
                name, _, text = line.partition(":")
                fields[name] = text.removeprefix(" ")
                continue
            if "data" in fields:
                frames.put(Frame(fields.get("event", ""), fields["data"], fields.get("id")))
            fields = {}
    except (OSError, http.client.HTTPException):
        pass  # broken off: whoever follows opens it again, and that says what is wrong if it still is
    finally:
        channel.close()
        frames.put(None)
