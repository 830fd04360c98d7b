from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.stage import Stage, stage


@pytest.fixture
async def site() -> AsyncIterator[Stage]:
    """A platform with its HTTP side, and a worker serving `send-email` on `user.created`."""
    async with stage(shows_runs=True) as made:
        await made.worker.serve()
        yield made
