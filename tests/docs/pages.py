"""The pages of the documentation as tests see them: headings, code blocks, tables, links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"

_NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")
_FILE_NAME = re.compile(r"# (\S+\.(?:py|toml))\b")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of code. `words` are those after the language in its info string."""

    place: str  # docs/how-to.md:12, its first line of code
    language: str
    words: frozenset[str]
    text: str

    @property
    def line(self) -> int:
        return int(self.place.rpartition(":")[2])

    @property
    def file(self) -> str | None:
        """The file that the block is (a part of), when its first line says so: `# app.py`."""
        named = _FILE_NAME.match(self.text)
        return named[1] if named else None


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: its cells as written, and the heading it stands under."""

    heading: str
    cells: tuple[str, ...]


class Page:
    """One Markdown file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path.relative_to(ROOT))
        self.text = path.read_text("utf-8")

    def __repr__(self) -> str:
        return self.name

    @cached_property
    def _tokens(self) -> list[Token]:
        return MarkdownIt("commonmark").enable("table").parse(self.text)

    @cached_property
    def headings(self) -> list[str]:
        """The texts of the headings, in their order."""
        return [
            following.content for token, following in pairwise(self._tokens) if token.type == "heading_open"
        ]

    @cached_property
    def anchors(self) -> set[str]:
        """What a link can lead to within the page, as GitHub makes it of headings."""
        anchors: set[str] = set()
        for heading in self.headings:
            stem = _NOT_IN_ANCHORS.sub("", heading.replace("`", "").lower()).replace(" ", "-")
            number = 1
            anchor = stem
            while anchor in anchors:
                anchor, number = f"{stem}-{number}", number + 1
            anchors.add(anchor)
        return anchors

    @cached_property
    def blocks(self) -> list[Block]:
        """The fenced blocks, in their order."""
        return [
            _block(self.name, token)
            for token in self._tokens
            if token.type == "fence" and token.map is not None
        ]

    @property
    def has_tests(self) -> bool:
        """True when some of the files that the page shows are tests."""
        return any((block.file or "").startswith("test_") for block in self.blocks)

    def write_files(self, folder: Path) -> list[Path]:
        """Write the files that the page shows; blocks of the same file follow one another. Returns the files."""
        texts: dict[str, str] = {}
        for block in self.blocks:
            if block.file is not None:
                texts[block.file] = f"{texts.get(block.file, '')}{block.text}\n\n"
        for name, text in texts.items():
            (folder / name).write_text(text, "utf-8")
        return [folder / name for name in texts]

    @cached_property
    def links(self) -> list[str]:
        """The targets of all links."""
        inline = [child for token in self._tokens for child in token.children or ()]
        return [str(child.attrs["href"]) for child in inline if child.type == "link_open"]

    @cached_property
    def codes(self) -> list[str]:
        """What stands between backticks in the text, tables included; not the blocks."""
        inline = [child for token in self._tokens for child in token.children or ()]
        return [child.content for child in inline if child.type == "code_inline"]

    @cached_property
    def rows(self) -> list[Row]:
        """The rows of all tables, without their headers."""
        return list(_rows(self._tokens))

    def rows_under(self, heading: str) -> list[tuple[str, ...]]:
        """The rows of the tables under one heading."""
        rows = [row.cells for row in self.rows if row.heading == heading]
        assert rows, f"{self.name} has no table under {heading!r}"
        return rows

    def options_under(self, heading: str) -> dict[str, str]:
        """Name and default of each option in the tables of three columns under one heading."""
        rows = [row.cells for row in self.rows if row.heading == heading and len(row.cells) == 3]
        return {name: default.strip("`") for names, default, _ in rows for name in code_in(names)}


def pages() -> list[Page]:
    """The README and every page of docs/."""
    return [Page(path) for path in (ROOT / "README.md", *sorted(DOCS.glob("*.md")))]


def page(name: str) -> Page:
    """A page of docs/."""
    return Page(DOCS / name)


def code_in(text: str) -> list[str]:
    """What stands between backticks in a text."""
    return re.findall(r"`([^`]+)`", text)


def _block(name: str, token: Token) -> Block:
    assert token.map is not None
    language, *words = token.info.split() or [""]
    return Block(f"{name}:{token.map[0] + 2}", language, frozenset(words), token.content)


def _rows(tokens: list[Token]) -> Iterator[Row]:
    heading, cells, is_in_body = "", [], False
    for token, following in pairwise(tokens):
        match token.type:
            case "heading_open":
                heading = following.content
            case "tbody_open" | "tbody_close":
                is_in_body = token.type == "tbody_open"
            case "td_open":
                cells.append(following.content)
            case "tr_close" if is_in_body:
                yield Row(heading, tuple(cells))
                cells = []
