"""The pytest fixtures of zopio-trigger (loaded by pytest through its entry point).

`trigger` is a `TestPlatform` that serves the jobs of `trigger_client`. Name your own client in `conftest.py`:

    @pytest.fixture
    def trigger_client():
        from myapp.jobs import client
        return client

    async def test_welcome(trigger):                      # with pytest-asyncio, anyio, …
        run = await trigger.send("user.created", {"email": "ada@example.com"})
        assert (await run.finished()).state == "completed"

    def test_welcome_too(trigger_sync):                   # without
        run = trigger_sync.send("user.created", {"email": "ada@example.com"})
        assert run.state == "completed"

Everything is imported when a fixture is used, so that projects that use none pay nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from zopio_trigger.sdk.client import TriggerClient
    from zopio_trigger.testing.blocking import BlockingPlatform
    from zopio_trigger.testing.platform import TestPlatform


@pytest.fixture
def trigger_client() -> TriggerClient | Iterable[TriggerClient]:
    """The client (or clients) whose jobs `trigger` and `trigger_sync` execute; override it to name yours."""
    from zopio_trigger.sdk.default import client

    return client


@pytest.fixture
def trigger(trigger_client: TriggerClient | Iterable[TriggerClient]) -> Iterator[TestPlatform]:
    """A platform in memory for tests that are `async def`; it starts in the test's event loop when it is used."""
    from zopio_trigger.testing.platform import TestPlatform

    platform = TestPlatform(*_clients(trigger_client))
    yield platform
    platform.dispose()


@pytest.fixture
def trigger_sync(trigger_client: TriggerClient | Iterable[TriggerClient]) -> Iterator[BlockingPlatform]:
    """A platform in memory for tests that are plain functions: each call returns when nothing moves any more."""
    from zopio_trigger.testing.blocking import BlockingPlatform

    with BlockingPlatform(*_clients(trigger_client)) as platform:
        yield platform


def _clients(given: TriggerClient | Iterable[TriggerClient]) -> tuple[TriggerClient, ...]:
    return tuple(given) if isinstance(given, Iterable) else (given,)
