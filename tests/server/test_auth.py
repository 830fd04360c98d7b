"""Who may come in: the holders of a key, for as long as it is valid."""

from __future__ import annotations

import httpx2
import pytest

from tests.stage import KEY, Stage, stage
from zopio_trigger.errors import NotAuthorised
from zopio_trigger.model.clock import ManualClock
from zopio_trigger.model.records import ApiKey, replace
from zopio_trigger.platform.keys import digest_of
from zopio_trigger.server.auth import Gate

STORED = ApiKey(digest_of(KEY), 7, "tr_dev_test…", 0, None)


class Keys:
    """A store of one key, which counts how often it is asked."""

    def __init__(self, key: ApiKey | None = STORED) -> None:
        self.key = key
        self.asked = 0

    async def find(self, digest: str) -> ApiKey | None:
        self.asked += 1
        return self.key if self.key is not None and self.key.digest == digest else None


@pytest.mark.parametrize(
    "header", [f"Bearer {KEY}", f"bearer {KEY}", f"BEARER   {KEY}", KEY, f" {KEY} "], ids=repr
)
async def test_a_key_is_taken_with_and_without_bearer(header: str) -> None:
    gate = Gate(find=Keys().find, clock=ManualClock())

    assert await gate.environment_of(header.encode()) == 7


@pytest.mark.parametrize(
    "header", [None, b"", b"Bearer", b"Bearer ", b"Bearer tr_dev_other", b"\xff\xfe\x00", b"x" * 1_000_000],
    ids=lambda header: repr(header)[:30],
)  # fmt: skip
async def test_anything_else_is_refused(header: bytes | None) -> None:
    gate = Gate(find=Keys().find, clock=ManualClock())

    with pytest.raises(NotAuthorised):
        await gate.environment_of(header)


async def test_a_key_is_looked_up_once_in_five_seconds() -> None:
    keys, clock = Keys(), ManualClock()
    gate = Gate(find=keys.find, clock=clock)

    for _ in range(100):
        await gate.environment_of(KEY.encode())

    assert keys.asked == 1


async def test_a_revoked_key_is_refused_after_five_seconds_at_most() -> None:
    keys, clock = Keys(), ManualClock()
    gate = Gate(find=keys.find, clock=clock)
    await gate.environment_of(KEY.encode())

    keys.key = replace(STORED, revoked_at=clock.now())
    clock.advance(5)

    with pytest.raises(NotAuthorised, match="was revoked"):
        await gate.environment_of(KEY.encode())


async def test_a_new_key_works_at_once_though_it_was_refused_before() -> None:
    keys = Keys(None)
    gate = Gate(find=keys.find, clock=ManualClock())
    with pytest.raises(NotAuthorised):
        await gate.environment_of(KEY.encode())

    keys.key = STORED

    assert await gate.environment_of(KEY.encode()) == 7


async def test_401_says_what_2x_tools_look_for_and_what_to_do(site: Stage) -> None:
    for headers in ({"authorization": ""}, {"authorization": "Bearer pk_dev_public"}):
        response = await site.http.get("/api/v3/runs", headers=headers)

        assert response.status_code == 401
        assert response.json()["error"] == "Invalid or Missing API key"
        assert "key" in response.json()["message"]
        assert response.headers["www-authenticate"] == "Bearer"


async def test_every_api_route_wants_a_key(site: Stage) -> None:
    for route in site.app.state.table.routes:
        path = route.path.replace("{id}", "x")
        response = await site.http.request(route.method, path, headers={"authorization": ""})
        assert (response.status_code == 401) == path.startswith("/api/"), path


async def test_without_a_key_a_body_is_not_even_read(site: Stage) -> None:
    response = await site.http.post(
        "/api/v1/events", content=b"x" * 5_000_000, headers={"authorization": "Bearer nope"}
    )

    assert response.status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:3030", "127.0.0.1.evil.example", "", "[::2]:1"]
)
async def test_other_names_than_those_of_this_machine_are_refused(site: Stage, host: str) -> None:
    for path in ("/", "/api/v3/runs", "/healthz"):
        response = await site.http.get(path, headers={"host": host})
        assert response.status_code == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:3030", "127.0.0.1:80", "[::1]", "[::1]:3030"])
async def test_the_names_of_this_machine_are_answered_to(site: Stage, host: str) -> None:
    assert (await site.http.get("/healthz", headers={"host": host})).status_code == 200


async def test_a_server_with_a_name_of_its_own_answers_to_any() -> None:
    async with stage(hosts=None) as made:
        response = await made.http.get("/healthz", headers={"host": "jobs.example"})

        assert response.status_code == 200


async def test_a_key_opens_the_environment_it_belongs_to(site: Stage) -> None:
    await site.send(id="e1")
    transport = httpx2.ASGITransport(app=site.app)

    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        response = await client.get("/api/v2/events/e1", headers={"authorization": f"Bearer {KEY}"})

    assert response.status_code == 200
