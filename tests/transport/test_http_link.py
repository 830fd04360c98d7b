"""A platform over HTTP: the same answers and errors as in the process, and nothing sent twice."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx2
import msgspec
import pytest

from tests.stage import KEY, OTHER_KEY, Stage, stage
from zopio_trigger.errors import (
    ConfigurationError,
    Conflict,
    InvalidInput,
    NotAuthorised,
    NotFound,
    StoreError,
    TooLarge,
    Unreachable,
    ZopioTriggerError,
)
from zopio_trigger.model.clock import SystemClock
from zopio_trigger.model.views import value
from zopio_trigger.server.run import HttpServer
from zopio_trigger.transport.http import HttpLink
from zopio_trigger.transport.ports import ClientLink, EventRequest


class Impatient(SystemClock):
    """A clock whose sleeps are over at once, and remembered."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


# --- against a real server


@pytest.fixture
async def site() -> AsyncIterator[Stage]:
    async with stage() as made:
        await made.worker.serve()
        yield made


@pytest.fixture
async def link(site: Stage) -> AsyncIterator[HttpLink]:
    server = HttpServer(site.platform, port=0)
    await server.start()
    made = HttpLink(server.url, KEY)
    yield made
    await asyncio.to_thread(made.close)
    await server.stop()


async def test_it_is_a_client_link(link: HttpLink) -> None:
    as_client: ClientLink = link

    assert await as_client.list_jobs() is not None


async def test_what_it_answers_is_what_the_platform_answers(site: Stage, link: HttpLink) -> None:
    run_id = await site.send(payload='{"a":[1e2]}', id="e/1")
    await site.worker.complete_task(run_id, "fetch", '{"n":1}', logs=["hello"])

    questions: list[Callable[[ClientLink], Awaitable[Any]]] = [
        lambda way: way.get_run(run_id),
        lambda way: way.get_event("e/1"),
        lambda way: way.list_runs(status=["running", "failed"], job="send-email", event_id="e/1", since=0),
        lambda way: way.get_logs(run_id, cursor="1.0", limit=5),
        lambda way: way.list_jobs(),
        lambda way: way.list_schedules(upcoming=3),
    ]
    for ask in questions:
        assert msgspec.json.encode(await ask(link)) == msgspec.json.encode(await ask(site.desk))


async def test_an_event_arrives_as_it_was_asked_for(site: Stage, link: HttpLink) -> None:
    request = EventRequest(
        name="näme", payload='{"b":1.50}', id="my id", context="null", source="elsewhere",
        timestamp=1_600_000_000_000_001, deliver_after=1_500_001, is_test=True, account="ada", origin_run="run_0",
    )  # fmt: skip

    receipt = await link.send_event(request)

    stored = await site.reads.event_row(site.env_no, "my id")
    assert receipt.id == "my id"
    assert (stored.name, stored.payload, stored.context) == ("näme", '{"b":1.50}', "null")
    assert (stored.source, stored.account, stored.origin_run) == ("elsewhere", "ada", "run_0")
    assert (stored.timestamp, stored.is_test) == (1_600_000_000_000_001, True)
    assert stored.deliver_at - stored.created_at == 1_500_001


async def test_receipts_come_in_order_with_all_they_say(site: Stage, link: HttpLink) -> None:
    await link.send_event(EventRequest(name="user.created", payload="1", id="old"))
    requests = [
        EventRequest(name="user.created", payload="{}"),
        EventRequest(name="user.created", payload="2", id="old"),
        EventRequest(name="nobody.listens", payload="{}"),
    ]

    first, second, third = await link.send_events(requests)

    assert (len(first.runs), first.jobs, first.id[:4]) == (1, ("send-email",), "evt_")
    assert (second.is_duplicate, second.payload_differs, second.runs) == (True, True, ())
    assert (third.runs, third.is_duplicate) == ((), False)


async def test_people_can_act_on_runs(site: Stage, link: HttpLink) -> None:
    run_id = await site.send()

    assert (await link.cancel_run(run_id, "typo")).status == "cancelled"
    assert (await link.replay_run(run_id)).replay_of == run_id
    assert (await link.retry_run(run_id)).id == run_id


async def test_a_delayed_event_is_cancelled(link: HttpLink) -> None:
    await link.send_event(EventRequest(name="x", payload="{}", id="later", deliver_after=60_000_000))

    assert (await link.cancel_event("later")).cancelled_at is not None


async def test_errors_come_back_as_what_they_were(site: Stage, link: HttpLink) -> None:
    run_id = await site.send(id="e1")
    await site.worker.complete(run_id)

    for error, ask in (
        (NotFound, lambda: link.get_run("run_nope")),
        (NotFound, lambda: link.get_event("..")),
        (Conflict, lambda: link.cancel_run(run_id)),
        (Conflict, lambda: link.cancel_event("e1")),
        (InvalidInput, lambda: link.list_runs(status=["nope"])),
        (TooLarge, lambda: link.send_event(EventRequest(name="x", payload=f'"{"x" * 4_000_000}"'))),
    ):
        with pytest.raises(error):
            await ask()


async def test_an_invalid_input_names_its_place(link: HttpLink) -> None:
    with pytest.raises(InvalidInput, match="is empty") as refused:
        await link.send_event(EventRequest(name="", payload="{}"))

    assert refused.value.path == "$.name"


async def test_the_key_says_which_environment(site: Stage) -> None:
    run_id = await site.send()
    server = HttpServer(site.platform, port=0)
    await server.start()
    other, nobody = HttpLink(server.url, OTHER_KEY), HttpLink(server.url, "tr_dev_unknown")

    with pytest.raises(NotFound):
        await other.get_run(run_id)
    with pytest.raises(NotAuthorised, match="check TRIGGER_API_KEY"):
        await nobody.get_run(run_id)

    await asyncio.to_thread(other.close)
    await asyncio.to_thread(nobody.close)
    await server.stop()


async def test_it_serves_threads_and_loops_of_all_kinds(site: Stage, link: HttpLink) -> None:
    """One link, used here, in a thread without a loop, and in another loop."""
    run_id = await site.send()

    def blocking() -> str:
        return link.get_run(run_id).result(5).id

    def in_another_loop() -> str:
        async def ask() -> str:
            return (await link.get_run(run_id)).id

        return asyncio.run(ask())

    answers = await asyncio.gather(asyncio.to_thread(blocking), asyncio.to_thread(in_another_loop))

    assert [*answers, (await link.get_run(run_id)).id] == [run_id] * 3


async def test_an_event_is_sent_though_nobody_awaits_it(site: Stage, link: HttpLink) -> None:
    link.send_event(EventRequest(name="user.created", payload="{}", id="left alone"))

    async with asyncio.timeout(5):
        while not site.worker.started:
            await asyncio.sleep(0.001)

    assert (await site.reads.event(site.env_no, "left alone")).runs


async def test_after_close_it_can_be_used_again_and_leaves_no_thread(link: HttpLink) -> None:
    await link.list_jobs()
    await asyncio.to_thread(link.close)
    assert not [thread for thread in threading.enumerate() if thread.name == "zopio-trigger-http"]

    assert await link.list_jobs() is not None


async def test_nobody_listening_is_told_with_what_to_do(site: Stage) -> None:
    server = HttpServer(site.platform, port=0)
    await server.start()
    await server.stop()
    clock = Impatient()
    link = HttpLink(server.url, KEY, clock=clock)

    with pytest.raises(Unreachable) as refused:
        await link.get_run("run_1")

    expected = f'cannot reach {server.url} (connection refused). Is "zopio-trigger dev app.py" running?'
    assert str(refused.value) == expected
    assert len(clock.slept) == 3
    await asyncio.to_thread(link.close)


# --- against answers of the test's making


Answers = list[httpx2.Response | Exception]


class Scripted(httpx2.AsyncBaseTransport):
    """Answers in the given order, and keeps the requests."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.requests: list[httpx2.Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        await request.aread()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


Script = Callable[..., tuple[HttpLink, Scripted, Impatient]]


@pytest.fixture
def script() -> Iterator[Script]:
    links: list[HttpLink] = []

    def make(*answers: Any) -> tuple[HttpLink, Scripted, Impatient]:
        transport, clock = Scripted(list(answers)), Impatient()
        link = HttpLink("http://127.0.0.1:1", KEY, clock=clock, chance=random.Random(0), transport=transport)
        links.append(link)
        return link, transport, clock

    yield make
    for link in links:
        link.close()


def receipt(**changes: Any) -> httpx2.Response:
    body = {
        "id": "e1", "name": "x", "createdAt": "2026-01-01T00:00:00.000Z", "runs": ["run_1"], "jobs": ["j"],
        "isDuplicate": False, "payloadDiffers": False, **changes,
    }  # fmt: skip
    return httpx2.Response(200, json=body)


LOST = httpx2.ReadError("connection reset")
REFUSED = httpx2.ConnectError("All connection attempts failed")


def test_a_lost_answer_is_asked_for_again_with_the_same_id(script: Script) -> None:
    link, transport, clock = script(LOST, receipt())

    link.send_event(EventRequest(name="x", payload="{}")).result(5)

    first, second = [msgspec.json.decode(request.content)["id"] for request in transport.requests]
    assert first == second
    assert first.startswith("evt_")
    assert 0.1 <= clock.slept[0] <= 0.2


def test_pauses_grow_and_are_not_the_same_for_everybody(script: Script) -> None:
    link, _, clock = script(LOST, LOST, LOST, LOST)

    with pytest.raises(Unreachable, match="connection reset"):
        link.get_run("run_1").result(5)

    assert len(clock.slept) == 3
    for pause, most in zip(clock.slept, (0.2, 0.4, 0.8), strict=True):
        assert most / 2 <= pause < most


def test_the_echo_of_its_own_repetition_is_no_duplicate(script: Script) -> None:
    event: dict[str, Any] = {
        "id": "e1", "name": "x", "createdAt": "", "updatedAt": "", "timestamp": "", "deliverAt": "",
        "deliveredAt": None, "cancelledAt": None, "payload": {},
        "runs": [
            {"id": "run_1", "status": "", "state": "", "job": "j", "startedAt": None, "completedAt": None}
        ],
    }  # fmt: skip
    echo = receipt(isDuplicate=True, runs=[], jobs=[])
    link, _, _ = script(LOST, echo, httpx2.Response(200, json=event))

    answer = link.send_event(EventRequest(name="x", payload="{}")).result(5)

    assert (answer.is_duplicate, answer.runs, answer.jobs) == (False, ("run_1",), ("j",))


def test_a_duplicate_of_the_senders_own_id_stays_one(script: Script) -> None:
    link, _, _ = script(LOST, receipt(isDuplicate=True, runs=[]))

    assert link.send_event(EventRequest(name="x", payload="{}", id="e1")).result(5).is_duplicate


def test_what_would_do_something_else_twice_is_not_repeated(script: Script) -> None:
    link, transport, _ = script(LOST)

    with pytest.raises(Unreachable):
        link.replay_run("run_1").result(5)

    assert len(transport.requests) == 1


def test_what_cannot_have_arrived_is_always_repeated(script: Script) -> None:
    link, transport, _ = script(REFUSED, httpx2.Response(404, json={"error": "e", "message": "no run"}))

    with pytest.raises(NotFound, match="no run"):
        link.replay_run("run_1").result(5)

    assert len(transport.requests) == 2


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_server_that_is_not_ready_is_asked_again(script: Script, status: int) -> None:
    link, transport, _ = script(httpx2.Response(status), receipt())

    link.send_event(EventRequest(name="x", payload="{}")).result(5)

    assert len(transport.requests) == 2


@pytest.mark.parametrize(
    ("status", "error"),
    [(503, StoreError), (500, ZopioTriggerError), (400, InvalidInput), (418, ZopioTriggerError)],
)
def test_a_final_refusal_has_the_servers_words(script: Script, status: int, error: type[Exception]) -> None:
    answers = [httpx2.Response(status, json={"error": "e", "message": "its words"}) for _ in range(4)]
    link, _, _ = script(*answers)

    with pytest.raises(error, match="its words"):
        link.get_run("run_1").result(5)


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(200, text="<html>hello</html>"),
        httpx2.Response(200, json={"id": 1}),
        httpx2.Response(404, text="not found"),
        httpx2.Response(301, headers={"location": "https://elsewhere.example"}),
    ],
    ids=["a page", "another shape", "another 404", "a redirect"],
)
def test_another_server_is_told_from_ours(script: Script, answer: httpx2.Response) -> None:
    link, transport, _ = script(answer)

    with pytest.raises(Unreachable, match="is not a zopio-trigger platform"):
        link.get_run("run_1").result(5)

    assert len(transport.requests) == 1, "the key goes nowhere else"


@pytest.mark.parametrize("segment", ["a/b", "a b", "..", ".", "%2F", "?x=1", "#", "日本"])
def test_an_id_stays_one_segment_of_the_path(script: Script, segment: str) -> None:
    link, transport, _ = script(httpx2.Response(404, json={"error": "e", "message": "m"}))

    with pytest.raises(NotFound):
        link.get_event(segment).result(5)

    path = transport.requests[0].url.raw_path
    assert path.startswith(b"/api/v3/events/")
    assert path.count(b"/") == 4
    assert b"?" not in path


@pytest.mark.parametrize("url", ["", "localhost:3030", "ftp://host", "http://", "3030"])
def test_what_is_no_address_is_told_at_once(url: str) -> None:
    with pytest.raises(ConfigurationError, match="TRIGGER_API_URL"):
        HttpLink(url, KEY)


def test_a_path_in_the_address_is_kept(script: Script) -> None:
    transport = Scripted([httpx2.Response(404, json={"error": "e", "message": "m"})])
    link = HttpLink("http://host/trigger/", KEY, transport=transport)

    with pytest.raises(NotFound):
        link.get_run("run_1").result(5)

    assert str(transport.requests[0].url) == "http://host/trigger/api/v3/runs/run_1"
    link.close()


def test_values_in_views_can_be_read(script: Script) -> None:
    line = {
        "at": "", "level": "info", "message": "m", "data": {"a": 1}, "taskId": None, "execution": 1, "cursor": "1.1"
    }  # fmt: skip
    link, _, _ = script(httpx2.Response(200, json={"lines": [line]}))

    (shown,) = link.get_logs("run_1").result(5)

    assert value(shown.data) == {"a": 1}
