"""Serving inside somebody else's event loop."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.stage import KEY, Stage, stage
from zopio_trigger.errors import ConfigurationError
from zopio_trigger.server.run import HttpServer

HEADERS = {"authorization": f"Bearer {KEY}"}


@pytest.fixture
async def site() -> AsyncIterator[Stage]:
    async with stage() as made:
        await made.worker.serve()
        yield made


async def test_it_answers_once_started_and_leaves_signals_alone(site: Stage) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    server = HttpServer(site.platform, port=0)

    await server.start()
    async with httpx2.AsyncClient(base_url=server.url, headers=HEADERS) as client:
        sent = await client.post("/api/v1/events", json={"event": {"name": "user.created"}})
        listed = await client.get("/api/v3/runs")
    during = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    await server.stop()

    assert sent.status_code == 200
    assert len(listed.json()["runs"]) == 1
    assert during == before


async def test_small_answers_do_not_wait_for_acknowledgements(site: Stage) -> None:
    """Nagle's algorithm would hold each answer's second write back for 40 ms."""
    server = HttpServer(site.platform, port=0)
    await server.start()
    _, writer = await asyncio.open_connection(server.host, server.port)
    accepted = next(iter(server._server.server_state.connections))  # type: ignore[union-attr]

    delay = accepted.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    writer.close()
    await writer.wait_closed()
    await server.stop()

    assert delay != 0


async def test_a_port_in_use_is_told_with_what_to_do(site: Stage) -> None:
    first = HttpServer(site.platform, port=0)
    await first.start()

    with pytest.raises(ConfigurationError, match=rf"port {first.port} on 127\.0\.0\.1 is in use; .* --port"):
        await HttpServer(site.platform, port=first.port).start()

    await first.stop()


async def test_a_host_that_is_not_ours_is_told(site: Stage) -> None:
    with pytest.raises(ConfigurationError, match=r"'192\.0\.2\.1' is no address of this machine"):
        await HttpServer(site.platform, host="192.0.2.1", port=0).start()


async def test_localhost_is_both_loopback_addresses(site: Stage) -> None:
    server = HttpServer(site.platform, host="localhost", port=0)
    await server.start()
    hosts = ["127.0.0.1", "[::1]"] if socket.has_ipv6 else ["127.0.0.1"]

    for host in hosts:
        async with httpx2.AsyncClient(base_url=f"http://{host}:{server.port}") as client:
            assert (await client.get("/healthz")).status_code == 200
    await server.stop()


async def test_the_port_is_free_again_after_stop(site: Stage) -> None:
    first = HttpServer(site.platform, port=0)
    await first.start()
    await first.stop()

    second = HttpServer(site.platform, port=first.port)
    await second.start()
    await second.stop()
    await second.stop()  # stopping twice is fine


async def test_stopping_ends_open_streams(site: Stage) -> None:
    server = HttpServer(site.platform, port=0)
    await server.start()
    async with (
        httpx2.AsyncClient(base_url=server.url, headers=HEADERS) as client,
        client.stream("GET", "/api/v3/follow") as response,
    ):
        lines = response.aiter_lines()
        assert await anext(lines) == "retry: 2000"

        async with asyncio.timeout(3):
            await server.stop()
            rest = [line async for line in lines]

    assert set(rest) <= {"", ": still here"}


@pytest.mark.parametrize(
    ("host", "is_local"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False)]
)
async def test_only_on_loopback_are_runs_shown_and_names_checked(
    site: Stage, host: str, is_local: bool
) -> None:
    run_id = await site.send()
    app = HttpServer(site.platform, host=host).app

    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app), base_url="http://localhost"
    ) as client:
        page = await client.get("/")
        other_name = await client.get("/", headers={"host": "jobs.example"})

    assert (run_id in page.text) is is_local
    assert other_name.status_code == (403 if is_local else 200)
