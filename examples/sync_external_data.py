"""Fetch data from a server that is not always up, and write it to a database exactly once.

    python examples/sync_external_data.py       # with a server of its own, which fails twice

or with a server of yours:

    zopio-trigger dev examples/sync_external_data.py
    zopio-trigger send data.sync.requested '{"source": "http://127.0.0.1:8000", "dataType": "users"}'
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypedDict

import httpx2

from zopio_trigger import IO, client, send_event
from zopio_trigger.composition import embedded
from zopio_trigger.model.views import value

DATABASE = Path(".zopio/records.db")


class SyncRequest(TypedDict):
    source: str
    dataType: str


class Record(TypedDict):
    id: int
    name: str


async def fetch_external_data(source: str, data_type: str) -> list[Record]:
    async with httpx2.AsyncClient(timeout=10) as http:
        response = await http.get(f"{source}/{data_type}")
        response.raise_for_status()  # an error of this task: it is tried again
        records: list[Record] = response.json()
        return records


def update_database(data_type: str, records: list[Record]) -> None:
    # A plain function runs in a thread. Should the process die right after the commit below, it runs a second time:
    # writing by id makes that harmless.
    DATABASE.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS records (kind, id, name, PRIMARY KEY (kind, id))")
        database.executemany(
            "INSERT OR REPLACE INTO records VALUES (?, ?, ?)",
            [(data_type, record["id"], record["name"]) for record in records],
        )


@client.job(
    id="sync-external-data",
    name="Sync External Data",
    version="1.0.0",
    trigger=client.triggers.event(name="data.sync.requested"),
)
async def sync_external_data(payload: SyncRequest, io: IO) -> dict[str, int]:
    data = await io.run_task(
        "fetch-external-data",
        fetch_external_data,
        payload["source"],
        payload["dataType"],
        retry={"maxAttempts": 3, "minTimeoutInMs": 1000, "maxTimeoutInMs": 10000, "factor": 2},
    )
    await io.run_task("update-database", update_database, payload["dataType"], data)
    return {"recordsProcessed": len(data)}


async def main() -> None:
    with unreliable_server() as address:
        async with embedded(client) as platform:
            receipt = await send_event("data.sync.requested", {"source": address, "dataType": "users"})
            run = await platform.ended(receipt.runs[0])
            fetched = run.tasks[0]
            print(f"{fetched.key} {fetched.state} at attempt {fetched.attempt} of {fetched.max_attempts}")
            print(f"{run.job} {run.status} {value(run.output)}")
    with closing(sqlite3.connect(DATABASE)) as database:
        print(database.execute("SELECT name FROM records ORDER BY id").fetchall())


@contextmanager
def unreliable_server() -> Iterator[str]:
    """An HTTP server on this machine that answers 503 twice before it has data; yields its address."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = json.dumps([{"id": 1, "name": "Ada"}, {"id": 2, "name": "Grace"}]).encode()
            self.send_response(503 if len(asked) <= 2 else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            print(f"server: {format % args}")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    asyncio.run(main())
