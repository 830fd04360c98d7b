"""Whatever is sent is stored exactly or refused with the reason; it never becomes a 5xx, a hang or another value."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.stage import KEY, Stage, stage
from zopio_trigger.server.calls import BodyLimits
from zopio_trigger.server.run import HttpServer

# One platform for all of them: what is refused leaves nothing behind.
pytestmark = pytest.mark.asyncio(loop_scope="module")

MB = 1024 * 1024


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site() -> AsyncIterator[Stage]:
    async with stage() as made:
        yield made


def event_with(payload: str) -> bytes:
    return b'{"event":{"name":"x","payload":%s}}' % payload.encode("utf-8", "surrogatepass")


NOT_JSON = {
    "nothing": b"",
    "white space": b"  \n",
    "cut off": b'{"event":{"name":"x"',
    "two values": b'{"event":{"name":"x"}}{}',
    "byte order mark": b'\xef\xbb\xbf{"event":{"name":"x"}}',
    "UTF-16": '{"event":{"name":"x"}}'.encode("utf-16"),
    "invalid UTF-8": b'{"event":{"name":"x","payload":"\xff\xfe"}}',
    "overlong UTF-8": b'{"event":{"name":"x","payload":"\xc0\x80"}}',
    "an encoded surrogate": event_with('"\ud800"'),
    "an escaped surrogate": event_with('"\\ud800"'),
    "a surrogate in a key": event_with('{"\\udfff":1}'),
    "a surrogate in the name": b'{"event":{"name":"\\ud800"}}',
    "single quotes": b"{'event':{'name':'x'}}",
    "NaN": event_with("NaN"),
    "minus infinity": event_with("-Infinity"),
    "an overflowing float": event_with("1e400"),
    "a leading zero": event_with("01"),
    "a raw control character": event_with('"a\nb"'),
    "a raw NUL": event_with('"a\0b"'),
    "10,000 arrays": event_with("[" * 10_000 + "]" * 10_000),
    "10,000 open arrays": event_with("[" * 10_000),
    "10,000 objects": event_with('{"a":' * 10_000 + "1" + "}" * 10_000),
    "513 levels": event_with("[" * 513 + "]" * 513),
    "an integer of 5,000 digits": event_with("9" * 5_000),
    "an urlencoded form": b"event=x&name=y",
}

MISSHAPEN: dict[str, Any] = {
    "an array": [],
    "a string": "event",
    "null": None,
    "no event": {},
    "event as array": {"event": []},
    "event as null": {"event": None},
    "no name": {"event": {}},
    "name as number": {"event": {"name": 1}},
    "name as null": {"event": {"name": None}},
    "name as array": {"event": {"name": ["x"]}},
    "empty name": {"event": {"name": ""}},
    "long name": {"event": {"name": "x" * 513}},
    "NUL in the name": {"event": {"name": "a\0b"}},
    "line break in the name": {"event": {"name": "a\nb"}},
    "empty id": {"event": {"name": "x", "id": ""}},
    "id as number": {"event": {"name": "x", "id": 7}},
    "NUL in the id": {"event": {"name": "x", "id": "a\0"}},
    "long id": {"event": {"name": "x", "id": "i" * 100_000}},
    "NUL in the source": {"event": {"name": "x", "source": "\0"}},
    "payload of another kind": {"event": {"name": "x", "payloadType": "REQUEST"}},
    "options as array": {"event": {"name": "x"}, "options": []},
    "NUL in the account": {"event": {"name": "x"}, "options": {"accountId": "\0"}},
}

BAD_TIMES: dict[str, Any] = {
    "year 0": "0000-01-01T00:00:00Z",
    "year 1969": "1969-12-31T23:59:59Z",
    "year 10000": "+010000-01-01T00:00:00.000Z",
    "JavaScript's last": "+275760-09-13T00:00:00.000Z",
    "before Christ": "-000001-01-01T00:00:00.000Z",
    "no zone": "2026-01-01T00:00:00",
    "30 February": "2026-02-30T00:00:00Z",
    "25 o'clock": "2026-01-01T25:00:00Z",
    "a date": "2026-01-01",
    "words": "tomorrow",
    "nothing": "",
    "an invalid Date": None,
    "a number": 1767225600000,
    "Arabic digits": "٢٠٢٦-01-01T00:00:00Z",
    "a megabyte": "2" * MB,
}

BAD_DELAYS: dict[str, Any] = {
    "1e18": 1e18,
    "a huge integer": 10**30,
    "milliseconds for seconds": 1_767_225_600_000,
    "half a second": 0.5,
    "a string": "60",
    "null": None,
    "true": True,
}


def refused(response: Any, status: int = 422) -> dict[str, str]:
    assert response.status_code == status, (response.status_code, response.text[:500])
    body: dict[str, str] = response.json()
    assert body["error"]
    assert body["message"]
    assert len(response.content) < 2_000, "a refusal does not send the request back"
    return body


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
async def test_what_is_not_json_is_refused_everywhere(site: Stage, body: bytes) -> None:
    for path in ("/api/v1/events", "/api/v1/events/bulk", "/api/v3/events", "/api/v3/events/bulk"):
        refused(await site.http.post(path, content=body))


async def test_a_body_of_nothing_but_brackets_is_answered_in_time(site: Stage) -> None:
    deep = "[" * 500 + "]" * 500
    body = event_with("[" + ",".join([deep] * 3_000) + "]")

    async with asyncio.timeout(5):
        response = await site.http.post("/api/v1/events", content=body)

    assert response.status_code == 200


@pytest.mark.parametrize("body", MISSHAPEN.values(), ids=MISSHAPEN.keys())
async def test_a_body_of_another_shape_is_refused(site: Stage, body: Any) -> None:
    refused(await site.http.post("/api/v1/events", json=body))


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"event": {"name": 1}}, "$.event.name"),
        ({"event": {"name": "a\0"}}, "$.event.name"),
        ({"event": {"name": "x", "timestamp": "never"}}, "$.event.timestamp"),
        ({"event": {"name": "x"}, "options": {"deliverAfter": 10**12}}, "$.options.deliverAfter"),
    ],
)
async def test_a_refusal_names_the_place(site: Stage, body: Any, path: str) -> None:
    response = await site.http.post("/api/v1/events", json=body)

    assert refused(response)["path"] == path


async def test_a_fault_inside_the_payload_is_named_with_its_path(site: Stage) -> None:
    response = await site.http.post("/api/v1/events", content=event_with('{"items":[1,{"a":1e999}]}'))

    assert refused(response)["path"] == "$.event.payload.items[1].a"


@pytest.mark.parametrize("time", BAD_TIMES.values(), ids=BAD_TIMES.keys())
async def test_times_that_are_none_are_refused(site: Stage, time: Any) -> None:
    refused(await site.http.post("/api/v1/events", json={"event": {"name": "x", "timestamp": time}}))
    refused(
        await site.http.post("/api/v1/events", json={"event": {"name": "x"}, "options": {"deliverAt": time}})
    )
    refused(await site.http.post("/api/v3/events", json={"name": "x", "deliverAt": time}))


@pytest.mark.parametrize("delay", BAD_DELAYS.values(), ids=BAD_DELAYS.keys())
async def test_absurd_delays_are_refused(site: Stage, delay: Any) -> None:
    body = {"event": {"name": "x"}, "options": {"deliverAfter": delay}}

    refused(await site.http.post("/api/v1/events", json=body))


async def test_a_delivery_in_more_than_ten_years_is_refused(site: Stage) -> None:
    body = {"event": {"name": "x"}, "options": {"deliverAt": "9999-12-31T23:59:59Z"}}

    assert "ten years" in refused(await site.http.post("/api/v1/events", json=body))["message"]


async def test_an_offset_beyond_the_calendar_is_refused_or_exact(site: Stage) -> None:
    event = {"name": "x", "timestamp": "9999-12-31T23:59:59-14:00"}

    refused(await site.http.post("/api/v1/events", json={"event": event}))


async def test_512_levels_are_stored_wherever_the_payload_stands(site: Stage) -> None:
    deep = "[" * 512 + "]" * 512

    for path, body in (
        ("/api/v1/events", f'{{"event":{{"name":"x","payload":{deep}}}}}'),
        ("/api/v1/events/bulk", f'{{"events":[{{"name":"x","payload":{deep}}}]}}'),
        ("/api/v3/events", f'{{"name":"x","payload":{deep}}}'),
        ("/api/v3/events/bulk", f'{{"events":[{{"name":"x","payload":{deep}}}]}}'),
    ):
        response = await site.http.post(path, content=body)
        assert response.status_code == 200, (path, response.text[:200])


async def test_the_last_of_equal_keys_of_ours_counts_and_those_of_users_stay(site: Stage) -> None:
    body = b'{"event":{"name":"x"},"event":{"name":"y","name":"z","payload":{"a":1,"a":2}}}'

    response = await site.http.post("/api/v1/events", content=body)

    assert response.json()["name"] == "z"
    assert b'{"a":1,"a":2}' in response.content


# --- sizes


async def test_a_body_over_the_limit_is_413_and_not_read(site: Stage) -> None:
    body = event_with(json.dumps("x" * 5 * MB))

    message = refused(await site.http.post("/api/v1/events", content=body), 413)["message"]

    assert "more than 3,145,728 bytes" in message


async def test_a_body_of_3_mb_is_stored(site: Stage) -> None:
    frame = len(event_with('""'))
    text = "x" * (3 * MB - frame)

    response = await site.http.post("/api/v1/events", content=event_with(f'"{text}"'))

    assert response.json()["payload"] == text


async def test_bulk_bodies_may_be_larger(site: Stage) -> None:
    events = [{"name": "x", "payload": "y" * MB}] * 5

    assert len(await site.post("/api/v1/events/bulk", {"events": events})) == 5


async def test_chunks_are_counted_as_they_come() -> None:
    async with stage(limits=BodyLimits(body_bytes=1_000)) as site:
        sent = 0

        async def chunks() -> AsyncIterator[bytes]:
            nonlocal sent
            for _ in range(100):
                sent += 100
                yield b"x" * 100

        refused(await site.http.post("/api/v1/events", content=chunks()), 413)

        assert sent <= 1_200


async def test_a_compressed_body_is_refused_with_the_reason(site: Stage) -> None:
    response = await site.http.post(
        "/api/v1/events", content=b"\x1f\x8b", headers={"content-encoding": "gzip"}
    )

    assert "content-encoding" in refused(response)["message"]


# --- paths and queries


@pytest.mark.parametrize(
    "path",
    [
        "/api", "/api/", "/api/v1", "/api/v9/events", "/api/v1/events/", "/api/v2/events/a/b/c", "/api/v1//events",
        "/api/v2/runs/%ff", "/api/v2/runs/%00", "/api/v2/runs/a%0Ab", "/api/v2/runs/" + "x" * 600, "/api/v2/runs/%",
        "/api/v2/runs/%zz", "/api/v2/events/%F0%9F%98%80", "/api/v2/runs/..%2F..%2Fetc%2Fpasswd",
    ],
)  # fmt: skip
async def test_unknown_paths_are_404_as_json(site: Stage, path: str) -> None:
    response = await site.http.get(path)

    assert response.status_code == 404
    if path.startswith("/api/"):
        assert response.json()["message"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "BREW"])
async def test_a_wrong_method_is_405_and_says_which_are_right(site: Stage, method: str) -> None:
    response = await site.http.request(method, "/api/v1/events")

    assert response.status_code == 405
    assert "use POST" in response.json()["message"]
    assert response.headers["allow"] == "OPTIONS, POST"


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=201", "limit=-1", "limit=x", "limit=1&limit=2", "limit=" + "9" * 400, "limit=1e2",
        "cursor=x", "cursor=run_" + "x" * 200, "cursor=%00", "cursor=run_%ff", "status=nope", "status=%00", "status=,",
        "job=%00", "since=yesterday", "since=-2h", "since=999999999d", "since=2026-13-01T00:00:00Z", "job=",
        "x=1&" * 101, "job=" + "x" * 9_000, "a=%ff",
    ],
)  # fmt: skip
async def test_queries_that_make_no_sense_are_refused(site: Stage, query: str) -> None:
    response = await site.http.get(f"/api/v3/runs?{query}")

    refused(response, 413 if len(query) > 8_192 else 422)


async def test_an_unknown_event_id_in_a_query_is_404(site: Stage) -> None:
    refused(await site.http.get("/api/v3/runs", params={"eventId": "nope"}), 404)


# --- over a real connection


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def address() -> AsyncIterator[tuple[str, int]]:
    async with stage() as made:
        server = HttpServer(made.platform, port=0, limits=BodyLimits(body_bytes=1_000, body_seconds=0.2))
        await server.start()
        yield server.host, server.port
        await server.stop()


async def say(address: tuple[str, int], *parts: bytes, until_closed: bool = False) -> bytes:
    """Send raw bytes and return what comes back."""
    reader, writer = await asyncio.open_connection(*address)
    for part in parts:
        writer.write(part)
        await writer.drain()
    async with asyncio.timeout(5):
        answer = await (reader.read() if until_closed else reader.readuntil(b"\r\n\r\n"))
    writer.close()
    await writer.wait_closed()
    return answer


def head(*lines: bytes, path: bytes = b"/api/v1/events", method: bytes = b"POST") -> bytes:
    fixed = (b"%s %s HTTP/1.1" % (method, path), b"host: 127.0.0.1", b"authorization: Bearer " + KEY.encode())
    return b"\r\n".join([*fixed, *lines, b"", b""])


BODY = b'{"event":{"name":"x"}}'


async def test_a_chunked_body_is_put_together(address: tuple[str, int]) -> None:
    chunks = b"".join(b"1\r\n%s\r\n" % bytes([byte]) for byte in BODY) + b"0\r\n\r\n"

    assert (await say(address, head(b"transfer-encoding: chunked"), chunks)).startswith(b"HTTP/1.1 200")


async def test_a_body_that_stops_coming_is_408(address: tuple[str, int]) -> None:
    answer = await say(address, head(b"content-length: 100"), BODY, until_closed=True)

    assert answer.startswith(b"HTTP/1.1 408")
    assert b"did not arrive within 0.2 seconds" in answer


async def test_bytes_after_the_body_are_another_request(address: tuple[str, int]) -> None:
    after = b'{"smuggled":1}\r\n\r\n'

    answer = await say(address, head(b"content-length: 22"), BODY + after, until_closed=True)

    assert b"HTTP/1.1 400" in answer


async def test_a_declared_length_over_the_limit_is_refused_before_the_body(address: tuple[str, int]) -> None:
    assert (await say(address, head(b"content-length: 999999999999999999"))).startswith(b"HTTP/1.1 413")


async def test_a_client_may_send_all_of_its_large_body_and_read_the_refusal(address: tuple[str, int]) -> None:
    large = b"x" * (5 * MB)

    answer = await say(address, head(b"content-length: %d" % len(large)), large)

    assert answer.startswith(b"HTTP/1.1 413")


async def test_a_client_that_goes_away_leaves_nothing_behind(address: tuple[str, int]) -> None:
    _, writer = await asyncio.open_connection(*address)
    writer.write(head(b"content-length: 100") + BODY)
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    assert (await say(address, head(b"content-length: 22"), BODY)).startswith(b"HTTP/1.1 200")


NOT_HTTP = {
    "noise": b"\x00\x01\x02\r\n\r\n",
    "a word": b"GET\r\n\r\n",
    "a path outside ASCII": b"GET /\xff HTTP/1.1\r\n\r\n",
    "a negative length": head(b"content-length: -1"),
    "TLS": b"\x16\x03\x01" * 20,
}


@pytest.mark.parametrize("request_bytes", NOT_HTTP.values(), ids=NOT_HTTP.keys())
async def test_what_is_not_http_is_400(address: tuple[str, int], request_bytes: bytes) -> None:
    assert (await say(address, request_bytes)).startswith(b"HTTP/1.1 400")


async def test_a_path_in_absolute_form_and_one_with_dots_are_harmless(address: tuple[str, int]) -> None:
    for path in (b"http://evil.example/api/v3/jobs", b"/api/v3/../../etc/passwd", b"*", b"/%2e%2e/%2e%2e"):
        answer = await say(address, head(path=path, method=b"GET"))
        assert answer.split(b" ")[1] in (b"200", b"400", b"404"), (path, answer)
