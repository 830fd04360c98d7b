"""What commands print: a table on a terminal, tab-separated lines when piped, JSON when asked for.

Data goes to stdout, remarks to stderr. Ids are cut only on a terminal that is too narrow for them.
"""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeVar

import click
import msgspec

F = TypeVar("F", bound=Callable[..., Any])
Format = Literal["text", "json", "jsonl"]

GAP: Final = "  "
NARROWEST: Final = 8  # a column is not cut below this many cells


class Manner(NamedTuple):
    """How a command was asked to speak; the `obj` of its context."""

    is_quiet: bool = False


class Cell(NamedTuple):
    """One value of a table: as people see it, and as programs get it (None: the same)."""

    shown: str
    piped: str | None = None
    colour: str | None = None

    @property
    def raw(self) -> str:
        return self.shown if self.piped is None else self.piped


def json_options(command: F) -> F:
    """The options `--json` and `--jsonl`, which a command gets as `json` and `jsonl`."""
    command = click.option("--jsonl", is_flag=True, help="One JSON document a line.")(command)
    return click.option("--json", "as_json", is_flag=True, help="One JSON document.")(command)


def format_of(*, as_json: bool, jsonl: bool) -> Format:
    """Which of the two was asked for."""
    if as_json and jsonl:
        raise click.UsageError("--json and --jsonl are given both; give one")
    return "json" if as_json else "jsonl" if jsonl else "text"


def is_terminal() -> bool:
    """True when a person reads stdout."""
    return sys.stdout.isatty()


def say(text: str = "") -> None:
    """Print data."""
    click.echo(text)


def remark(text: str) -> None:
    """Say something that is not data, on stderr, unless `--quiet` was given."""
    context = click.get_current_context(silent=True)
    if context is None or not (isinstance(context.obj, Manner) and context.obj.is_quiet):
        click.echo(text, err=True)


def document(value: object) -> None:
    """Print a value as one line of JSON."""
    click.echo(msgspec.json.encode(value).decode())


def documents(values: Iterable[object]) -> None:
    """Print each value as one line of JSON."""
    for value in values:
        document(value)


def table(titles: Sequence[str], rows: Sequence[Sequence[Cell]], *, cut: Sequence[int] = ()) -> None:
    """Print rows under their titles on a terminal, tab-separated and without titles elsewhere.

    Parameters:
        cut: columns that are cut when the terminal is too narrow, the first of them first.
    """
    if not is_terminal():
        for row in rows:
            say("\t".join(_plain(cell.raw) for cell in row))
        return
    widths = _widths(titles, rows, cut, shutil.get_terminal_size().columns)
    say(
        _line(
            [click.style(_fit(title, width), dim=True) for title, width in zip(titles, widths, strict=True)]
        )
    )
    for row in rows:
        cells = [
            click.style(_fit(cell.shown, width), fg=cell.colour)
            for cell, width in zip(row, widths, strict=True)
        ]
        say(_line(cells))


def _line(cells: Sequence[str]) -> str:
    return GAP.join(cells).rstrip()


def _widths(
    titles: Sequence[str], rows: Sequence[Sequence[Cell]], cut: Sequence[int], room: int
) -> list[int]:
    """The width of each column; those that may be cut give way to the others."""
    widths = [
        max([cells(title), *(cells(row[column].shown) for row in rows)])
        for column, title in enumerate(titles)
    ]
    too_wide = sum(widths) + len(GAP) * (len(widths) - 1) - room
    for column in cut:
        if too_wide <= 0:
            break
        given = min(too_wide, max(widths[column] - NARROWEST, 0))
        widths[column] -= given
        too_wide -= given
    return widths


def _fit(text: str, width: int) -> str:
    return padded(shortened(text, width), width)


def shortened(text: str, width: int) -> str:
    """The text in so many cells of a terminal; of an id the end is kept, because that is where ids differ."""
    if cells(text) <= width:
        return text
    if "_" in text[:5] and len(text) > 20:
        head = min(8, width // 2)
        return f"{text[:head]}…{text[len(text) - (width - head - 1) :]}"
    kept = ""
    for character in text:
        if cells(kept + character) > width - 1:
            break
        kept += character
    return f"{kept}…"


def padded(text: str, width: int) -> str:
    """The text with blanks after it, so many cells wide."""
    return text + " " * (width - cells(text))


def cells(text: str) -> int:
    """How many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(_cells_of(character) for character in text)


def _cells_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _plain(text: str) -> str:
    """A value that cannot be taken for two columns or two lines."""
    return " ".join(text.split()) if any(sign in text for sign in "\t\r\n") else text
