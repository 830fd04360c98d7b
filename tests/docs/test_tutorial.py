"""The tutorial, walked: its files are written, its commands are run in two terminals, and what they print is what it
says, but for ids, times and lengths."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import Block, page

TUTORIAL = page("tutorial.md")
PATIENCE = 30.0  # seconds until something that is to be printed has been printed
WAITS_FOR, WAITS_HERE = "seconds=30", "seconds=8"  # long enough to be killed and started again
SKIPPED = ("python3 -m venv", ". ", "pip ")  # what prepares the machine
PROMPT = "$ "
ANYTHING = "…"

# What differs from one time to the next.
VARIABLE = (
    (re.compile(r"\b(run|evt)_[0-9A-Z]{26}\b"), r"\1_ID"),
    (re.compile(r"(\d{4}-\d\d-\d\d |[MTWFS][a-z]{2} )?\d\d:\d\d:\d\d(\.\d+)?"), "TIME"),
    (re.compile(r"(\bin )?(<1|\d+(\.\d+)?) ?(ms|[smhd])\b( \d+ [smhd]\b)?( ago)?|\bnow\b"), "LENGTH"),
    (re.compile(r"zopio-trigger \d+\.\d+\.\d+"), "VERSION"),
    (re.compile(r"\(Python .*\)"), "(SYSTEM)"),
    (re.compile(r":3030|:\d{4,5}\b"), ":PORT"),
    (re.compile(r" +"), " "),
)


class Shell:
    """A terminal in the folder of the tutorial."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._screen, self._terminal = pty.openpty()
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TRIGGER_")},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "TRIGGER_API_URL": f"http://127.0.0.1:{port}", "NO_COLOR": "1", "COLUMNS": "120", "PYTHONUNBUFFERED": "1",
        }  # fmt: skip
        self._unread = ""
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *words: str) -> None:
        """Run a command; its output is read later."""
        self.process = subprocess.Popen(
            words, cwd=self._folder, env=self._environment,
            stdin=self._terminal, stdout=self._terminal, stderr=self._terminal,
        )  # fmt: skip

    def run(self, command: str) -> None:
        """Run a command to its end."""
        self.start(*shlex.split(command))
        assert self.process is not None
        code = self.process.wait(PATIENCE)
        assert code == 0, f"{command} ended with {code}: {self.said()}"

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        os.close(self._screen)
        os.close(self._terminal)

    def said(self) -> str:
        """What was printed and not yet expected."""
        while select.select([self._screen], [], [], 0.05)[0]:
            self._unread += os.read(self._screen, 65_536).decode().replace("\r\n", "\n")
        return self._unread

    def expect(self, lines: list[str], place: str) -> None:
        """Wait until these lines have been printed, in this order; other lines may come between."""
        give_up_at = time.monotonic() + PATIENCE
        while (rest := _after(lines, self.said())) is None:
            assert time.monotonic() < give_up_at, _unlike("\n".join(lines), self._unread, place)
        self._unread = rest

    def wait_for(self, text: str, place: str) -> None:
        """Wait until this has been printed, and leave it to be expected."""
        give_up_at = time.monotonic() + PATIENCE
        while text not in self.said():
            assert time.monotonic() < give_up_at, _unlike(text, self._unread, place)


def _unlike(told: str, printed: str, place: str) -> str:
    return f"{place} says\n{told}\nbut this was printed:\n{printed}"


def _after(lines: list[str], text: str) -> str | None:
    """What follows these lines in a text; None when they are not all in it."""
    printed = text.split("\n")
    at = 0
    for line in lines:
        while at < len(printed) and not _same(line, printed[at]):
            at += 1
        if at == len(printed):
            return None
        at += 1
    return "\n".join(printed[at:])


def _same(told: str, printed: str) -> bool:
    return _plain(told) == _plain(printed)


def _plain(line: str) -> str:
    for pattern, word in VARIABLE:
        line = pattern.sub(word, line)
    return line.strip()


class Walk:
    """Someone who follows the tutorial."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._port = port
        self.first = Shell(folder, port)
        self.second = Shell(folder, port)

    def step(self, block: Block) -> None:
        if block.file is not None:
            self._write(block)
        elif block.language == "console":
            self._follow(block, self.first if "first" in block.words else self.second)

    def _write(self, block: Block) -> None:
        assert block.file is not None
        file = self._folder / block.file
        before = file.read_text() if file.exists() else ""
        file.write_text(f"{before}{block.text.replace(WAITS_FOR, WAITS_HERE)}\n\n")
        if before:
            self.first.wait_for(f"↻ {block.file} changed", block.place)

    def _follow(self, block: Block, shell: Shell) -> None:
        for command, output in _commands(block):
            if command.startswith("zopio-trigger dev"):
                shell.start(*shlex.split(command), "--port", str(self._port))
            elif command.startswith("pkill"):
                self.first.kill()
            elif command and not command.startswith(SKIPPED):
                shell.run(command)
            shell.expect(output, block.place)


def _commands(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Each command with what it prints; lines before the first belong to what runs already."""
    command, output = "", list[str]()
    for line in block.text.splitlines():
        if line.startswith(PROMPT):
            yield command, output
            command, output = line.removeprefix(PROMPT), []
        elif line.strip() and line != ANYTHING:
            output.append(line)
    yield command, output


@pytest.fixture
def walk(tmp_path: Path, unused_tcp_port: int) -> Iterator[Walk]:
    walk = Walk(tmp_path, unused_tcp_port)
    yield walk
    walk.first.close()
    walk.second.close()


@pytest.mark.slow
def test_the_tutorial_happens_as_it_says(walk: Walk) -> None:
    for block in TUTORIAL.blocks:
        walk.step(block)
