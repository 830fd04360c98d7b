"""Programs of `benchmarks/children`: started with one JSON argument, answering with one line of JSON."""

from __future__ import annotations

import subprocess
import sys
from typing import TypeVar

import msgspec

from benchmarks.place import REPOSITORY

T = TypeVar("T")
PATIENCE_SECONDS = 300.0  # a child that takes longer hangs


def start(program: str, asked: msgspec.Struct) -> subprocess.Popen[bytes]:
    """Start a program of `benchmarks/children`; its errors go where ours go, its input ends when ours does."""
    return subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.children.{program}", msgspec.json.encode(asked).decode()],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def answer_of(child: subprocess.Popen[bytes], kind: type[T], patience_seconds: float = PATIENCE_SECONDS) -> T:
    """Wait for the child's end and read its answer; raises `ChildFailed` when there is none."""
    try:
        output, _ = child.communicate(timeout=patience_seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        raise ChildFailed(
            f"{_name(child)} had not ended after {patience_seconds:.0f} s and was killed"
        ) from None
    if child.returncode != 0:
        raise ChildFailed(f"{_name(child)} ended with status {child.returncode}; its error stands above")
    return msgspec.json.decode(output, type=kind)


def first_answer_of(child: subprocess.Popen[bytes], kind: type[T]) -> T:
    """Read one line of a child that goes on."""
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        raise ChildFailed(f"{_name(child)} ended before it had answered; its error stands above")
    return msgspec.json.decode(line, type=kind)


def run(
    program: str, asked: msgspec.Struct, kind: type[T], *, patience_seconds: float = PATIENCE_SECONDS
) -> T:
    """Start a program and return its answer."""
    with start(program, asked) as child:
        return answer_of(child, kind, patience_seconds)


def question(kind: type[T]) -> T:
    """In a child: what is asked of it."""
    return msgspec.json.decode(sys.argv[1], type=kind)


def answer(value: msgspec.Struct) -> None:
    """In a child: say so."""
    print(msgspec.json.encode(value).decode(), flush=True)


class ChildFailed(Exception):
    """A program the benchmark had started did not do what was asked of it."""


def _name(child: subprocess.Popen[bytes]) -> str:
    assert isinstance(child.args, list)
    return str(child.args[2])
