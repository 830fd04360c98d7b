"""The command line as people use it: real processes, on real terminals, with real signals."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

PATIENCE = 20.0  # seconds for what takes well under one on an idle machine
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Done(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str


def environment(**changes: str) -> dict[str, str]:
    """This process's environment without settings of ours, and with these."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("TRIGGER_", "NO_COLOR"))
    }
    return {**kept, "PYTHONUNBUFFERED": "1", **changes}


def command(*words: str) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "zopio_trigger", *words]


def zt(*words: str, folder: Path, url: str = "", stdin: str = "", **settings: str) -> Done:
    """Run a command to its end, its output piped."""
    if url:
        settings["TRIGGER_API_URL"] = url
    done = subprocess.run(
        command(*words), cwd=folder, env=environment(**settings), input=stdin, capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


@contextmanager
def running(*words: str, folder: Path, url: str) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on, its output piped; killed at the end unless it has ended."""
    with subprocess.Popen(
        command(*words), cwd=folder, env=environment(TRIGGER_API_URL=url), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def on_terminal(
    *words: str, folder: Path, url: str = "", columns: int = 120, types: str = "", **settings: str
) -> Done:
    """Run a command to its end on a terminal of so many columns; `types` is typed on its keyboard."""
    if url:
        settings["TRIGGER_API_URL"] = url
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(
        command(*words), cwd=folder, env=environment(**settings), stdin=follower, stdout=follower,
        stderr=follower,
    )  # fmt: skip
    os.close(follower)
    os.write(leader, types.encode())
    shown = b""
    try:
        while chunk := os.read(leader, 65_536):
            shown += chunk
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(leader)
    return Done(process.wait(PATIENCE), shown.decode().replace("\r\n", "\n"), "")


def without_colours(text: str) -> str:
    return _COLOUR.sub("", text)


class Dev:
    """A `zopio-trigger dev` in a process of its own, on a free port."""

    def __init__(self, folder: Path, *words: str, app: str = "app.py", **settings: str) -> None:
        self.folder = folder
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            command("dev", app, "--port", "0", *words), cwd=folder, env=environment(**settings),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self._url: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.kill()
        self._reader.join(PATIENCE)
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def url(self) -> str:
        """Its address, once it is ready."""
        if self._url is None:
            self._url = self.says(r"dashboard +(http://\S+)").group(1)
            self.says("Ctrl")
        return self._url

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def text(self) -> str:
        """Everything it has said."""
        with self._news:
            return "\n".join(self._lines)

    def says(self, pattern: str, *, times: int = 1) -> re.Match[str]:
        """Wait until it has said this so many times."""
        deadline = time.monotonic() + PATIENCE
        with self._news:
            while True:
                found = list(re.finditer(pattern, "\n".join(self._lines)))
                if len(found) >= times:
                    return found[times - 1]
                left = deadline - time.monotonic()
                if left <= 0 or (self._process.poll() is not None and not self._reader.is_alive()):
                    raise AssertionError(f"dev did not say {pattern!r}, but:\n" + "\n".join(self._lines))
                self._news.wait(min(left, 0.5))

    def send_signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """kill -9"""
        self._process.kill()
        self._process.wait(PATIENCE)

    def stop(self) -> int:
        """Press Ctrl+C; returns the exit code."""
        self.send_signal(signal.SIGINT)
        return self.code()

    def code(self) -> int:
        """Its exit code, when it has ended."""
        return self._process.wait(PATIENCE)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self._lines.append(line.rstrip("\n"))
                self._news.notify_all()


def edit(file: Path, old: str, new: str) -> None:
    """Change a file as somebody with an editor does."""
    text = file.read_text()
    assert old in text, f"{old!r} is not in {file}"
    file.write_text(text.replace(old, new))


def run_ids(text: str) -> Sequence[str]:
    """The ids of runs in a text, in order, each once."""
    return list(dict.fromkeys(re.findall(r"run_[0-9A-Z]{26}(?:-\d+)?", text)))
