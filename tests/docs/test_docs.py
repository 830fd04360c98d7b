"""The documentation does what it says: each block of Python runs, each link leads somewhere, each noun is explained.

How a block is treated stands in its info string. "python" is a program of its own, and its runs complete; "python
fails" has a run that fails; "python fragment" is only compiled. One whose first line is `# app.py` is (a part of) that
file: the files of a page are written into one folder, and if there are tests among them, they are run there.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, Block, Page, page, pages
from tests.docs.programs import Program, compiled, use_fresh_client
from zopio_trigger import Retry
from zopio_trigger.model import timetable
from zopio_trigger.platform import platform
from zopio_trigger.worker import execution, worker

PAGES = pages()
PYTHON = [block for page in PAGES for block in page.blocks if block.language == "python"]
NOUNS = (
    "event", "job", "trigger", "subscription", "run", "execution", "task", "attempt", "key", "memo", "wait", "timer",
    "suspend", "resume", "resident", "evict", "replay", "retry", "lease", "token", "queue", "limit", "worker", "slot",
    "endpoint", "environment", "schedule", "store", "platform",
)  # fmt: skip
PROGRAMS = [block for block in PYTHON if "fragment" not in block.words and block.file is None]
# Errors, but for what pytest-asyncio says where it is installed and a page does not configure it.
WARNINGS = ("-W", "error", "-W", "ignore:The configuration option")
SECOND = 1_000_000  # microseconds
DAY = 86_400 * SECOND
MARKS = {"fragment", "fails"}


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.place)
def test_every_block_of_python_compiles(block: Block) -> None:
    assert block.words <= MARKS, f"{block.place} is marked {set(block.words)}"
    compiled(block)


@pytest.mark.parametrize("reexecute", [False, True], ids=["once", "reexecuted"])
@pytest.mark.parametrize("block", PROGRAMS, ids=lambda block: block.place)
async def test_every_block_of_python_runs(
    block: Block, reexecute: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    program = Program(block, use_fresh_client(monkeypatch))

    await program.run(reexecute=reexecute)


@pytest.mark.parametrize("page", [page for page in PAGES if page.has_tests], ids=repr)
def test_the_tests_on_a_page_pass(page: Page, tmp_path: Path) -> None:
    files = page.write_files(tmp_path)
    written = sum(file.read_text().count("def test_") for file in files)

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *WARNINGS]
    outcome = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert f"{written} passed" in outcome.stdout


@pytest.mark.parametrize("page", PAGES, ids=repr)
def test_every_internal_link_leads_somewhere(page: Page) -> None:
    for link in page.links:
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.path.parent / path).resolve() if path else page.path
        assert target.exists(), f"{page}: nothing at {link}"
        assert target.is_relative_to(ROOT), f"{page}: {link} leaves the project"
        assert not anchor or anchor in Page(target).anchors, f"{page}: no heading for {link}"


@pytest.mark.parametrize("noun", NOUNS)
def test_every_noun_is_explained(noun: str) -> None:
    concepts = page("concepts.md")
    words = [*concepts.headings, *[cells[0] for cells in concepts.rows_under("Other words")]]
    assert any(noun in re.findall(r"[a-z]+", word.lower()) for word in words), (
        f"concepts.md does not explain {noun!r}"
    )


@pytest.mark.parametrize(
    "heading", [heading for heading in page("concepts.md").headings[1:] if heading != "Other words"]
)
def test_every_concept_says_what_is_durable(heading: str) -> None:
    section = page("concepts.md").text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    assert "- **Durable:**" in section, f"{heading} does not say what is durable"
    assert "- **Shows as:**" in section or "- **Not durable:**" in section


def test_the_index_for_programs_lists_every_page() -> None:
    index = Page(DOCS / "llms.txt")
    assert set(index.links) == {file.name for file in DOCS.glob("*.md")}


def test_numbers_in_prose_are_those_of_the_code() -> None:
    concepts, how_to = page("concepts.md").text, page("how-to.md").text
    assert f"there are too many ({worker.MAX_RESIDENTS:,} a worker)" in concepts
    assert f"a worker has {worker.SLOTS}." in concepts
    assert f"for {platform.RETENTION // DAY} days after its end" in concepts
    assert f"One run has at most {worker.MAX_TASKS:,} tasks" in how_to
    assert f"up to {timetable.GRACE_US // SECOND} seconds late" in how_to
    assert f"at most the latest {timetable.MOST_CAUGHT_UP:,}" in how_to
    assert f"after {execution.LOGS_WAIT_FOR // 1_000} ms" in how_to
    assert f"`Retry()` alone is {'five' if Retry().max_attempts == 5 else '?'} attempts" in how_to
