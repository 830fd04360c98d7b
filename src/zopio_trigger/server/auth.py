"""Who is asking: from the `Authorization` header to the environment its key opens."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

from zopio_trigger.errors import NotAuthorised
from zopio_trigger.model.clock import Clock
from zopio_trigger.model.records import ApiKey
from zopio_trigger.platform.keys import digest_of

KNOWN_FOR_SECONDS: Final = 5.0  # how long a revoked key may still work: the price of not asking each time
MAX_KNOWN: Final = 1_000  # keys remembered
MAX_HEADER_BYTES: Final = 1_024  # no key of ours is longer


class _Known(Struct, frozen=True, gc=False):
    env_no: int
    since: float


class Gate:
    """Lets holders of a valid key into their environment.

    Parameters:
        find: looks a key up by its digest.
        clock: measures how long an answer is remembered.
    """

    def __init__(self, *, find: Callable[[str], Awaitable[ApiKey | None]], clock: Clock) -> None:
        self._find = find
        self._clock = clock
        self._known: dict[str, _Known] = {}

    async def environment_of(self, authorization: bytes | None) -> int:
        """The number of the environment that a request's `Authorization` header opens.

        Parameters:
            authorization: `Bearer <key>`, or the bare key as some 2.x tools send it.

        Raises:
            NotAuthorised: no key, an unknown or a revoked one.
            StoreError: the store could not be asked.
        """
        digest = digest_of(_key_in(authorization))
        known = self._known.get(digest)
        if known is not None and self._clock.monotonic() - known.since < KNOWN_FOR_SECONDS:
            return known.env_no
        return await self._ask(digest)

    async def _ask(self, digest: str) -> int:
        self._known.pop(digest, None)
        key = await self._find(digest)
        if key is None or not hmac.compare_digest(key.digest, digest):
            raise NotAuthorised("this API key is not one of this platform; check TRIGGER_API_KEY")
        if key.revoked_at is not None:
            raise NotAuthorised(f"the API key {key.hint} was revoked; use another one")
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()  # they are looked up again, one by one
        self._known[digest] = _Known(key.env_no, self._clock.monotonic())
        return key.env_no


def _key_in(authorization: bytes | None) -> str:
    if not authorization:
        raise NotAuthorised(
            "no API key was sent; send the header `Authorization: Bearer <key>` with the key of the environment"
        )
    if len(authorization) > MAX_HEADER_BYTES:
        raise NotAuthorised("the Authorization header is too long to hold a key of this platform")
    text = authorization.decode("latin-1").strip()
    return text[7:].strip() if text[:7].lower() == "bearer " else text
