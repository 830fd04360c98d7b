"""The pytest plugin: light, silent, of use with and without an asyncio plugin. Each test runs pytest in a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

APP = """
from zopio_trigger import TriggerClient
client = TriggerClient("app")

@client.job(id="remind", trigger=client.triggers.event("user.registered"))
async def remind(payload, io):
    await io.wait("a-month", days=30)
    return await io.run_task("remind", lambda: "reminded")
"""
CONFTEST = """
import pytest

@pytest.fixture
def trigger_client():
    from app import client
    return client
"""
SYNC = """
def test_reminder(trigger_sync):
    run = trigger_sync.send("user.registered")
    trigger_sync.advance(days=30)
    assert run.output == "reminded"
"""
ASYNC = """
async def test_reminder(trigger):
    run = await trigger.send("user.registered")
    await trigger.advance(days=30)
    assert run.output == "reminded"

async def test_another_one(trigger):
    assert (await (await trigger.send("user.registered")).fast_forward()).output == "reminded"

async def test_that_uses_nothing_of_it(trigger):
    pass
"""
FAILING = """
async def test_that_fails_with_runs_in_the_air(trigger):
    await trigger.send("user.registered")
    raise ValueError("as it should")
"""
STRICT = ("-W", "error", "-p", "no:cacheprovider", "-q")


def pytest_in(folder: Path, *arguments: str, **files: str) -> subprocess.CompletedProcess[str]:
    for name, text in {"app": APP, "conftest": CONFTEST, **files}.items():
        (folder / f"{name}.py").write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "pytest", *STRICT, *arguments, str(folder)]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_plain_tests_need_no_asyncio_plugin_and_no_warning_is_given(tmp_path: Path) -> None:
    outcome = pytest_in(tmp_path, "-p", "no:asyncio", test_it=SYNC)

    assert "1 passed" in outcome.stdout, outcome.stdout + outcome.stderr
    assert "warning" not in outcome.stdout


def test_async_tests_use_the_loop_of_their_plugin(tmp_path: Path) -> None:
    outcome = pytest_in(
        tmp_path,
        "-o",
        "asyncio_mode=auto",
        "-o",
        "asyncio_default_fixture_loop_scope=function",
        test_it=ASYNC,
    )

    assert "3 passed" in outcome.stdout, outcome.stdout + outcome.stderr
    assert "warning" not in outcome.stdout


def test_tests_may_share_a_loop(tmp_path: Path) -> None:
    outcome = pytest_in(
        tmp_path, "-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=session",
        "-o", "asyncio_default_test_loop_scope=session", test_it=ASYNC,
    )  # fmt: skip

    assert "3 passed" in outcome.stdout, outcome.stdout + outcome.stderr


def test_a_test_that_fails_says_only_that(tmp_path: Path) -> None:
    outcome = pytest_in(
        tmp_path, "-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function",
        test_it=FAILING,
    )  # fmt: skip

    assert "1 failed" in outcome.stdout, outcome.stdout + outcome.stderr
    assert "ValueError: as it should" in outcome.stdout
    assert "never retrieved" not in outcome.stdout + outcome.stderr
    assert "was destroyed" not in outcome.stdout + outcome.stderr


def test_the_plugin_loads_neither_the_engine_nor_sql() -> None:
    program = (
        "import sys, zopio_trigger.testing, zopio_trigger.testing.plugin\n"
        "heavy = ('sqlite3', 'starlette', 'uvicorn', 'click', 'rich', 'cronsim', 'pydantic')\n"
        "own = ('engine', 'platform', 'storage', 'worker', 'composition', 'server')\n"
        "loaded = [m for m in heavy if m in sys.modules]\n"
        "loaded += [m for m in own if 'zopio_trigger.' + m in sys.modules]\n"
        "sys.exit(' '.join(loaded) or 0)"
    )

    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert outcome.returncode == 0, outcome.stderr
