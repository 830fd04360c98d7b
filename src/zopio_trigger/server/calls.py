"""One request as its handler sees it: whose it is, what its path and query say, and its body through the JSON door."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property
from typing import Final, TypeVar
from urllib.parse import parse_qsl, quote

import msgspec
from msgspec import Struct
from starlette.types import Receive, Scope

from zopio_trigger.errors import InvalidInput, TooLarge
from zopio_trigger.model import json
from zopio_trigger.model.names import check_name
from zopio_trigger.platform.platform import Desk, Platform

T = TypeVar("T")

MAX_QUERY_BYTES: Final = 8_192
MAX_QUERY_FIELDS: Final = 100
LARGE_BYTES: Final = 262_144  # bodies from which it pays to pause the garbage collector
_FLAGS_OFF: Final = frozenset({"", "0", "false"})
_ANY_SIZE: Final = json.Limits(
    max_bytes=2**31
)  # the size was checked before non-ASCII characters were escaped


class BodyLimits(Struct, frozen=True, kw_only=True):
    """What a request may bring.

    Parameters:
        body_bytes: of one request body. Default 3 MB.
        bulk_bytes: of the body of a bulk call. Default 8 MB, which is what one transaction takes.
        bulk_events: events in one bulk call. Default 1,000.
        body_seconds: how long a client may take to send its body. Default 60.
    """

    body_bytes: int = 3_145_728
    bulk_bytes: int = 8_388_608
    bulk_events: int = 1_000
    body_seconds: float = 60.0


DEFAULT_LIMITS: Final = BodyLimits()


class Gone(Exception):
    """The client went away before it had sent its request; there is nobody to answer."""


class TooSlow(Exception):
    """The client took too long to send its body."""


class Call:
    """A request.

    Attributes:
        platform: the platform that answers.
        env_no, desk: the environment of the caller's key, and the platform as it sees it.
        path: what stood in place of the `{…}` segments, decoded; names and ids of 1 to 512 characters.
        limits: what the body may bring.
    """

    def __init__(
        self, platform: Platform, desk: Desk, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive,
        path: Sequence[str], limits: BodyLimits,
    ) -> None:  # fmt: skip
        self.platform = platform
        self.desk = desk
        self.env_no = desk.env_no
        self.path = path
        self.limits = limits
        self.headers = headers
        self._scope = scope
        self._receive = receive

    @property
    def root(self) -> str:
        """Where the application is mounted, quoted for links; "" at the top."""
        return quote(self._scope.get("root_path", ""))

    # --- query ------------------------------------------------------------------------------------------------

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """The values of each query field, in their order."""
        raw: bytes = self._scope["query_string"]
        if len(raw) > MAX_QUERY_BYTES:
            raise TooLarge(f"the query string has {len(raw):,} bytes, and {MAX_QUERY_BYTES:,} are allowed")
        try:
            fields = parse_qsl(
                raw.decode(), keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS, errors="strict"
            )
        except ValueError as error:
            raise InvalidInput(f"the query string cannot be read: {error}") from error
        found: dict[str, list[str]] = {}
        for name, value in fields:
            found.setdefault(name, []).append(value)
        return found

    def word(self, field: str) -> str | None:
        """A query field that is given once or not at all."""
        values = self.query.get(field)
        if not values:
            return None
        if len(values) > 1:
            raise InvalidInput(f"query field {field!r} is given {len(values)} times; give it once")
        return check_name(values[0], f"query field {field!r}")

    def words(self, field: str) -> list[str]:
        """A query field that is given several times, or as a list with commas."""
        return [
            check_name(word, f"query field {field!r}")
            for value in self.query.get(field, [])
            for word in value.split(",")
        ]

    def number(self, field: str, default: int) -> int:
        """A query field that is a whole number."""
        text = self.word(field)
        if text is None:
            return default
        if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 9):
            raise InvalidInput(f"query field {field!r} is {text[:60]!r}; it is to be a whole number")
        return int(text)

    def flag(self, field: str) -> bool:
        """A query field that is true unless it is missing, empty, `0` or `false`."""
        return self.query.get(field, [""])[-1].lower() not in _FLAGS_OFF

    # --- body -------------------------------------------------------------------------------------------------

    @property
    def has_body(self) -> bool:
        """False when the request was sent without one."""
        return self.headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in self.headers

    async def body(self, decoder: msgspec.json.Decoder[T], *, depth: int, max_bytes: int | None = None) -> T:
        """The body in its expected shape, its `Raw` parts being ASCII text as they can be stored.

        The whole body passes the JSON door at once: one check in C, however many events it holds.

        Parameters:
            depth: levels of our own around the user's JSON, whose own 512 levels they must not use up.
            max_bytes: default the limit for plain bodies.

        Raises:
            TooLarge, InvalidInput: as `json.accept` and `json.read`; paths count from the body.
        """
        limit = self.limits.body_bytes if max_bytes is None else max_bytes
        data = await self._read(limit)
        limits = json.Limits(max_bytes=limit, max_depth=json.DEFAULT.max_depth + depth)
        with _collector_paused() if len(data) > LARGE_BYTES else nullcontext():
            text = json.accept(data, what="the request body", limits=limits)
            return json.read(text.encode(), decoder, what="the request body", limits=_ANY_SIZE)

    async def _read(self, limit: int) -> bytes:
        """The bytes of the body. Whatever its headers claim, never more than `limit` are kept."""
        encoding = self.headers.get(b"content-encoding", b"identity")
        if encoding.lower() != b"identity":
            raise InvalidInput(f"content-encoding {encoding[:40]!r} is not supported; send the body as it is")
        declared = self.headers.get(b"content-length", b"")
        if declared.isdigit() and len(declared) < 20 and int(declared) > limit:
            raise _too_large(limit)
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise Gone
        if message.get("more_body"):
            return await self._read_rest(message["body"], limit)
        body: bytes = message["body"]
        if len(body) > limit:
            raise _too_large(limit)
        return body

    async def _read_rest(self, first: bytes, limit: int) -> bytes:
        chunks, size = [first], len(first)
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                while size <= limit:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise Gone
                    chunks.append(message["body"])
                    size += len(message["body"])
                    if not message.get("more_body"):
                        break
        except TimeoutError:
            raise TooSlow(f"the body did not arrive within {self.limits.body_seconds:g} seconds") from None
        if size > limit:
            raise _too_large(limit)
        return b"".join(chunks)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Decode without the garbage collector: it would walk through a million new arrays again and again (measured:
    8 MB of nothing but brackets take 0.5 instead of 2.2 s), and JSON has no cycles to find."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"the request body has more than {limit:,} bytes, which is the limit; "
        "keep large data elsewhere and send a reference to it"
    )
