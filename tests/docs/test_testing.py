"""The page on the test kit is complete: what the kit has for its users is on it."""

from __future__ import annotations

import inspect
import re

import pytest

from tests.docs.pages import code_in, page
from zopio_trigger import testing
from zopio_trigger.testing import BlockingPlatform, BlockingRun, TestPlatform

TESTING = page("testing.md")
OF_A_RUN = (
    "id",
    "job",
    "state",
    "output",
    "error",
    "executions",
    "tasks",
    "attempts",
    "logs",
)  # set on each run


def test_every_option_of_the_platform_is_documented() -> None:
    parameters = [
        one for one in inspect.signature(TestPlatform.__init__).parameters.values() if one.name != "self"
    ]
    taken = {one.name: "required" if one.default is one.empty else repr(one.default) for one in parameters}
    assert TESTING.options_under("Send, run, move time") == taken


@pytest.mark.parametrize("kind", [BlockingPlatform, BlockingRun])
def test_everything_a_test_can_do_is_documented(kind: type) -> None:
    shown = {name for code in TESTING.codes for name in re.findall(r"\w+", code)}
    for name in dir(kind):
        assert name.startswith("_") or name in shown, f"testing.md does not tell of {kind.__name__}.{name}"


def test_everything_a_run_has_is_documented() -> None:
    told = {name for cells in TESTING.rows_under("Look at a run") for name in code_in(cells[0])}
    assert told.issuperset(OF_A_RUN)


def test_everything_the_kit_exports_is_documented() -> None:
    for name in testing.__all__:
        assert name in TESTING.text or name in ("BlockingRun", "TestRun"), name
