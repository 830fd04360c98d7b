"""A tour in twenty seconds, with real processes: a platform on SQLite, the example jobs, a kill -9, and a restart.

    python -m examples.demo     # or: make demo

Whatever is not as it should be ends it with an error.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from examples.demo_jobs import LEDGER
from examples.sync_external_data import DATABASE, unreliable_server

APP = os.path.relpath(Path(__file__).with_name("demo_jobs.py"))
STORE = Path(".zopio/demo.db")
KEY = "tr_dev_local"
T = TypeVar("T")

PATIENCE = 15.0  # seconds for anything to happen


class Server:
    """`zopio-trigger dev` in a process of its own."""

    def __init__(self) -> None:
        command = ["dev", APP, "--port", "0", "--no-reload", "--store", str(STORE)]
        show_command(command)
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            zopio_trigger(command),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=clean_environment(),
        )
        threading.Thread(target=self._read, daemon=True).start()
        self.url = self.wait_for("dashboard").split()[-1]
        self.wait_for("Ctrl+C")

    def wait_for(self, text: str) -> str:
        """The first line it says with this text in it."""
        return until(
            lambda: next((line for line in list(self.lines) if text in line), None),
            f"the server says {text!r}",
        )

    def kill(self) -> None:
        print(f"$ kill -9 {self._process.pid}")
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        check(self._process.wait(PATIENCE) == 0, "the server ends in good order")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            print(f"  server | {line}", end="")
            self.lines.append(line.rstrip("\n"))


def main() -> None:
    began_at = time.monotonic()
    start_afresh()
    title("A platform, a server and a worker in one process, on one SQLite file")
    server = Server()
    try:
        send_a_welcome_email(server)
        sync_data_from_a_server_that_fails_twice(server)
        make_the_weekly_report(server)
        register_a_user(server)
        server = survive_a_kill(server)
    finally:
        server.stop()
    took = time.monotonic() - began_at
    title(f"All as it should be, in {took:.0f} s. The store is yours to look at:")
    print(f"zopio-trigger runs list --store {STORE}")
    print(f"zopio-trigger dev {APP} --store {STORE}     # the registered user waits for tomorrow")


# --- the tour


def send_a_welcome_email(server: Server) -> None:
    title("An event starts a run")
    run(server, "send", "user.created", '{"userId": "user_123", "email": "user@example.com"}', "--wait")
    (welcome,) = runs(server, "send-welcome-email")
    check(details(server, welcome)["output"] == {"success": True}, "its output is stored")
    run(server, "runs", "get", welcome["id"])


def sync_data_from_a_server_that_fails_twice(server: Server) -> None:
    title("A task that fails is tried again, and what it wrote is written once")
    with unreliable_server() as source:
        run(
            server,
            "send",
            "data.sync.requested",
            json.dumps({"source": source, "dataType": "users"}),
            "--wait",
        )
    (sync,) = runs(server, "sync-external-data")
    fetch, update = details(server, sync)["tasks"]
    check(
        fetch["attempt"] == 3 and update["attempt"] == 1,
        "the third attempt worked, and only that task was repeated",
    )
    with closing(sqlite3.connect(DATABASE)) as database:
        rows = database.execute("SELECT name FROM records WHERE kind = 'users' ORDER BY id").fetchall()
    check(rows == [("Ada",), ("Grace",)], f"the table has what was fetched: {rows}")


def make_the_weekly_report(server: Server) -> None:
    title("A schedule; here its job is run now instead of on Monday")
    run(server, "schedules", "next", "weekly-report-generation", "--count", "2")
    ask(server, "/events", {"name": "run.now", "job": "weekly-report-generation"})
    (report,) = ended(server, "weekly-report-generation")
    check("reportUrl" in details(server, report)["output"], "the report has an address")
    (announcement,) = ended(server, "announce-report")
    check(announcement["eventName"] == "report.generated", "the event it sent started a run of its own")


def register_a_user(server: Server) -> None:
    title("A wait of a day takes no slot and no memory that matters")
    run(
        server, "send", "user.registered", '{"userId": "user_123", "email": "ada@example.com", "name": "Ada"}'
    )
    (registration,) = suspended(server, "user-registration-workflow")
    print(registration["waitingReason"]["text"])


def survive_a_kill(server: Server) -> Server:
    title("A kill -9 in the middle of a wait")
    run(server, "send", "order.placed", '{"orderId": "order_7"}')
    suspended(server, "order-fulfilment")
    server.kill()
    run(None, "runs", "list", "--status", "waiting", "--store", str(STORE))
    server = Server()
    server.wait_for("2 runs waiting")
    (order,) = ended(server, "order-fulfilment")
    output = details(server, order)["output"]
    check(
        output == {"charge": "charged order_7", "shipment": "shipped order_7"},
        "the run ended as if nothing had been",
    )
    check(LEDGER.read_text().splitlines() == list(output.values()), "and no task was repeated")
    run(server, "runs", "list")
    return server


# --- asking


def run(server: Server | None, *command: str) -> None:
    """Run a command of ours, shown as one would type it."""
    show_command(command)
    environment = clean_environment() | ({"TRIGGER_API_URL": server.url} if server is not None else {})
    done = subprocess.run(zopio_trigger(command), env=environment, timeout=PATIENCE, check=False)
    check(done.returncode == 0, "")


def ask(server: Server, path: str, body: object = None) -> Any:
    """Ask the HTTP API."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{server.url}/api/v3{path}", data, headers)
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        return json.load(response)


def runs(server: Server, job: str, status: str = "completed") -> list[Any]:
    found: list[Any] = ask(server, f"/runs?job={job}&status={status}")["runs"]
    return found


def ended(server: Server, job: str) -> list[Any]:
    return until(lambda: runs(server, job), f"a run of {job} completes")


def suspended(server: Server, job: str) -> list[Any]:
    return until(lambda: runs(server, job, "suspended"), f"a run of {job} waits")


def details(server: Server, run: Any) -> Any:
    return ask(server, f"/runs/{run['id']}")


def until(look: Callable[[], T | None], what: str) -> T:
    """What `look` finds, as soon as it finds something."""
    give_up_at = time.monotonic() + PATIENCE
    while time.monotonic() < give_up_at:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise SystemExit(f"✕ it takes too long until {what}")


def check(is_so: bool, what: str) -> None:
    if not is_so:
        raise SystemExit(f"✕ not so: {what or 'the command above succeeds'}")
    if what:
        print(f"✓ {what}")


# --- showing


def title(text: str) -> None:
    print(f"\n— {text}", flush=True)


def show_command(command: list[str] | tuple[str, ...]) -> None:
    print(f"$ {shlex.join(['zopio-trigger', *command])}", flush=True)


def zopio_trigger(command: list[str] | tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "zopio_trigger", *command]


def clean_environment() -> dict[str, str]:
    """The environment without settings of other platforms."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRIGGER_")}
    return kept | {"PYTHONUNBUFFERED": "1"}


def start_afresh() -> None:
    """Remove what an earlier demo left."""
    for file in [*STORE.parent.glob(f"{STORE.name}*"), LEDGER, DATABASE]:
        file.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
