"""What is answered without a key: health, the description of the API, the page."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.factories import a_job
from tests.stage import Stage, stage
from zopio_trigger.errors import StoreError

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


# --- health


async def test_a_running_platform_is_alive_and_ready(site: Stage) -> None:
    assert await site.get("/healthz") == {"status": "ok"}
    assert await site.get("/readyz") == {"status": "ready"}


async def test_it_is_not_ready_when_the_store_cannot_be_read(
    site: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken() -> Any:
        raise StoreError("disk I/O error")

    monkeypatch.setattr(site.platform.store, "environments", broken)
    response = await site.http.get("/readyz")

    assert response.status_code == 503
    assert response.json()["message"] == "the store cannot be read: disk I/O error"


async def test_it_is_not_ready_when_the_store_does_not_answer(
    site: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zopio_trigger.server.health.STORE_ANSWERS_WITHIN_SECONDS", 0.01)
    monkeypatch.setattr(site.platform.store, "environments", lambda: asyncio.Event().wait())

    assert (await site.http.get("/readyz")).status_code == 503


async def test_it_is_alive_but_not_ready_while_it_stops() -> None:
    async with stage() as made:
        await made.platform.stop()

        assert (await made.http.get("/readyz")).json()["message"] == "the platform is stopping"
        assert (await made.http.get("/healthz")).status_code == 200


async def test_a_store_that_fails_is_503_with_its_words(site: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(_: object) -> None:
        raise StoreError("database or disk is full")

    monkeypatch.setattr(site.platform.store, "write", full)
    response = await site.http.post("/api/v1/events", json={"event": {"name": "x"}})

    assert response.status_code == 503
    assert "disk is full" in response.json()["error"]


async def test_a_fault_of_ours_is_500_without_its_trace(
    site: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fault(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(site.platform.reads, "jobs", fault)
    response = await site.http.get("/api/v3/jobs")

    assert response.status_code == 500
    assert "secret" not in response.text
    assert "GET /api/v3/jobs failed" in caplog.text


# --- the description


async def test_the_description_covers_every_native_route(site: Stage) -> None:
    document = await site.get("/openapi.json")

    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    routes = {(r.method, r.path) for r in site.app.state.table.routes if r.path.startswith("/api/v3")}
    assert described == routes


async def test_the_description_is_made_of_the_views(site: Stage) -> None:
    document = await site.get("/openapi.json")
    schemas = document["components"]["schemas"]

    assert set(schemas["RunView"]["properties"]) >= {"id", "waitingReason", "durationMs", "payload"}
    assert schemas["NewEvent"]["required"] == ["name"]
    get = document["paths"]["/api/v3/runs/{id}"]["get"]
    assert get["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/RunView")
    assert get["parameters"][0]["name"] == "id"


async def test_every_reference_in_the_description_leads_somewhere(site: Stage) -> None:
    text = (await site.http.get("/openapi.json")).text
    schemas = (await site.get("/openapi.json"))["components"]["schemas"]

    references = set(re.findall(r'"\$ref":"#/components/schemas/([^"]+)"', text))
    assert references
    assert references <= set(schemas)


# --- the page


async def page(site: Stage, **query: str) -> str:
    response = await site.http.get("/", params=query, headers={"authorization": ""})
    assert response.status_code == 200
    assert response.headers["content-security-policy"] == POLICY
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    return response.text


async def test_without_runs_it_says_how_to_start_one(site: Stage) -> None:
    assert "zopio-trigger send user.created" in await page(site)


async def test_it_lists_runs_with_what_explains_them(site: Stage) -> None:
    failed, waiting = await site.send(), await site.send()
    await site.worker.fail(failed, '{"type":"ConnectError","message":"api.acme.com refused"}')
    await site.worker.wait(waiting, "nap", 3_600)

    text = await page(site)

    assert failed in text
    assert "✕ failed" in text
    assert "ConnectError: api.acme.com refused" in text
    assert "⏾ waiting" in text
    assert "sleeping until 2026-01-01 01:00:00 UTC" in text


async def test_all_that_users_wrote_is_escaped(site: Stage) -> None:
    evil = "<script>alert('x')</script>"
    await site.worker.serve(a_job(id=f'"><img src=x>{evil}'))
    await site.send()
    (run_id,) = site.worker.started
    await site.worker.fail(run_id, '{"type":"<b>E</b>","message":"<svg onload=alert(1)>"}')

    text = await page(site)

    assert "<script" not in text
    assert "<img" not in text
    assert "<svg" not in text
    assert "&lt;script&gt;" in text


async def test_it_needs_no_script_and_nothing_from_elsewhere(site: Stage) -> None:
    await site.send()

    text = await page(site)

    assert "style=" not in text
    for target in re.findall(r'(?:href|src)="([^"]*)"', text):
        assert target.startswith(("/", "?", "data:"))
    style = await site.http.get("/-/page.css")
    assert style.headers["content-type"] == "text/css; charset=utf-8"


async def test_it_can_be_mounted_inside_another_application(site: Stage) -> None:
    outer = Starlette(routes=[Mount("/my jobs", app=site.app)])
    run_id = await site.send(id="a/b")
    transport = httpx2.ASGITransport(app=outer)

    async with httpx2.AsyncClient(
        transport=transport, base_url="http://127.0.0.1", headers=site.http.headers
    ) as client:
        text = (await client.get("/my%20jobs/")).text
        event = await client.get("/my%20jobs/api/v2/events/a%2Fb")
        missing = await client.get("/my%20jobs/api/nope")

    assert run_id in text
    assert '<link rel="stylesheet" href="/my%20jobs/-/page.css">' in text
    assert event.status_code == 200
    assert missing.json()["message"].startswith("there is nothing at ")


async def test_each_environment_has_its_page(site: Stage) -> None:
    run_id = await site.send()

    assert run_id in await page(site, environment="dev")
    assert run_id not in await page(site, environment="prod")
    assert (await site.http.get("/", params={"environment": "<nope>"})).status_code == 404


async def test_runs_are_shown_to_nobody_where_others_can_reach_it() -> None:
    async with stage(shows_runs=False, hosts=None) as made:
        await made.worker.serve()
        run_id = await made.send()

        assert run_id not in await page(made)


async def test_an_error_of_another_shape_does_not_break_the_page(site: Stage) -> None:
    for error in ('"text"', "[]", "{}", '{"message":null}'):
        await site.worker.fail(await site.send(), error)

    assert "✕ failed" in await page(site)
