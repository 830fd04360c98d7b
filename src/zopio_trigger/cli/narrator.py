"""Tells in the terminal what happens to runs in this process, as far as a person can follow it."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from zopio_trigger.cli.story import Story
from zopio_trigger.cli.terminal import Terminal
from zopio_trigger.composition import System

TELL_EVERY: Final = 0.05  # seconds in which news gather, so that they can be told in the order of time
PER_SECOND: Final = 500  # pieces of news: past that nobody reads along, and telling costs the runs their time
AT_ONCE: Final = 1_000  # pieces of news after a quiet time


class Narrator:
    """Listens to a platform from now on, and prints the story of its runs once it is told to begin."""

    def __init__(self, system: System, story: Story, terminal: Terminal) -> None:
        self._system = system
        self._story = story
        self._terminal = terminal
        self._news: list[Any] = []  # as the platform says them; passed on to the story
        self._untold = 0
        self._budget = float(AT_ONCE)
        self._told_at = system.clock.monotonic()
        self._next: asyncio.TimerHandle | None = None
        self._is_telling = False
        self._stop = system.platform.follow(self._hear)

    def begin(self) -> None:
        """Tell what was heard so far and what will be."""
        self._is_telling = True
        self._tell()

    def stop(self) -> None:
        """Tell what was heard, and listen no more."""
        self._stop()
        if self._next is not None:
            self._next.cancel()
        self._tell()

    def _hear(self, news: Any) -> None:
        if len(self._news) < AT_ONCE:
            self._news.append(news)
        else:
            self._untold += 1
        if self._next is None and self._is_telling:
            self._next = asyncio.get_running_loop().call_later(TELL_EVERY, self._tell)

    def _tell(self) -> None:
        self._next = None
        news, self._news = self._news, []
        told = news[: self._allowed()]
        self._budget -= len(told)
        for piece in told:
            self._system.tell(piece, self._story)
        lines = self._story.lines()
        untold, self._untold = self._untold + len(news) - len(told), 0
        if untold:
            lines.append(
                f"… {untold:,} more changes than can be followed; see them with: zopio-trigger runs list"
            )
        if lines:
            self._terminal.say("\n".join(lines))

    def _allowed(self) -> int:
        """How many pieces of news may be told now."""
        now = self._system.clock.monotonic()
        self._budget = min(AT_ONCE, self._budget + (now - self._told_at) * PER_SECOND)
        self._told_at = now
        return int(self._budget)
