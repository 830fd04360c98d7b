"""A server with something in it, and commands run against it in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.cli.processes import Dev
from zopio_trigger.cli.main import main

APP = """
    from zopio_trigger import client

    @client.job(id="greet", trigger=client.triggers.event(name="hello.said"))
    async def greet(payload, io):
        await io.logger.info("Greeting", {"whom": payload.get("whom")})
        await io.run_task("look-up", look_up)
        return await io.run_task("say", say, payload.get("fail", False))

    async def look_up():
        return 1

    async def say(fail):
        if fail:
            raise ValueError("no voice")
        return "hello"

    @client.job(id="sleep", trigger=client.triggers.event(name="night.fell"))
    async def sleep(payload, io):
        await io.wait("until-morning", hours=8)

    @client.job(id="nightly", trigger=client.triggers.schedule(cron="0 3 * * *", tz="Europe/Istanbul"))
    async def nightly(payload, io): ...

    @client.job(id="picky", trigger=client.triggers.event(name="music.played", filter={"style": ["jazz"]}))
    async def picky(payload, io): ...
"""

Zt = Callable[..., Result]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """A dev server with four jobs."""
    folder = tmp_path_factory.mktemp("server")
    folder.joinpath("app.py").write_text(dedent(APP))
    with Dev(folder, "--no-reload") as dev:
        assert dev.url
        yield dev


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zt:
    """Runs a command in an empty folder, without any settings."""
    monkeypatch.chdir(tmp_path)
    for name in ("TRIGGER_API_URL", "TRIGGER_API_KEY", "TRIGGER_STORE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str, stdin: str | None = None, **settings: str) -> Result:
        return CliRunner().invoke(main, list(words), input=stdin, env=settings, prog_name="zopio-trigger")

    return run


@pytest.fixture
def zt(server: Dev, alone: Zt) -> Zt:
    """Runs a command against the server."""

    def run(*words: str, stdin: str | None = None, **settings: str) -> Result:
        return alone(*words, stdin=stdin, TRIGGER_API_URL=server.url, **settings)

    return run


def sent_run(zt: Zt, name: str = "hello.said", payload: str = "{}", *words: str) -> str:
    """Send an event that starts one run; returns the run's id."""
    sent = zt("send", name, payload, "--json", *words)
    (run_id,) = json.loads(sent.stdout)["event"]["runs"]
    assert isinstance(run_id, str)
    return run_id


def ended_run(zt: Zt, name: str = "hello.said", payload: str = "{}") -> Any:
    """Send an event and wait for its one run."""
    (run,) = json.loads(zt("send", name, payload, "--wait", "--json").stdout)["runs"]
    return run


def sleeping_run(zt: Zt) -> str:
    """A run that waits for eight hours; returns its id."""
    run_id = sent_run(zt, "night.fell")
    for _ in range(100):
        if json.loads(zt("runs", "get", run_id, "--json").stdout)["status"] == "suspended":
            return run_id
    raise AssertionError(f"run {run_id} does not fall asleep")
