"""Is it alive, is it ready, what can it do: the routes that need no key."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

import zopio_trigger
from zopio_trigger.errors import StoreError
from zopio_trigger.server.answers import Answer, json_answer, refusal
from zopio_trigger.server.calls import Call
from zopio_trigger.server.openapi import openapi
from zopio_trigger.server.routes import Route

STORE_ANSWERS_WITHIN_SECONDS: Final = 2.0


async def healthz(call: Call) -> Answer:
    """200 while the process answers at all."""
    return json_answer({"status": "ok"})


async def readyz(call: Call) -> Answer:
    """200 while requests can be served: the platform is not stopping and its store can be read."""
    if call.platform.is_stopping:
        return _unready("the platform is stopping")
    try:
        async with asyncio.timeout(STORE_ANSWERS_WITHIN_SECONDS):
            await call.platform.store.environments()
    except TimeoutError:
        return _unready(f"the store did not answer within {STORE_ANSWERS_WITHIN_SECONDS:g} seconds")
    except StoreError as error:
        return _unready(f"the store cannot be read: {error}")
    return json_answer({"status": "ready"})


def _unready(reason: str) -> Answer:
    return refusal(HTTPStatus.SERVICE_UNAVAILABLE, reason)


def routes(described: Iterable[Route]) -> tuple[Route, ...]:
    """These routes; `described` are those that `/openapi.json` describes."""
    description = openapi(described, version=zopio_trigger.__version__)

    async def describe(call: Call) -> Answer:
        return json_answer(description)

    return (
        Route("GET", "/healthz", healthz, is_open=True),
        Route("GET", "/readyz", readyz, is_open=True),
        Route("GET", "/openapi.json", describe, is_open=True),
    )
