"""Tests of jobs: the real engine on SQLite in memory, with a clock one moves and processes one can kill.

    from zopio_trigger.testing import TestPlatform

    async def test_reminder_comes_after_a_day():
        async with TestPlatform(client) as platform:
            run = await platform.send("user.registered", {"email": "ada@example.com"})
            await run.until_waiting()
            await platform.advance(hours=24)
            assert (await run.finished()).output == {"reminded": True}

With pytest the fixture `trigger` is such a platform for your client, and `trigger_sync` one for tests that are plain
functions; see `zopio_trigger.testing.plugin`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zopio_trigger.testing.blocking import BlockingPlatform as BlockingPlatform
    from zopio_trigger.testing.blocking import BlockingRun as BlockingRun
    from zopio_trigger.testing.crashes import at_every_commit as at_every_commit
    from zopio_trigger.testing.platform import TestPlatform as TestPlatform
    from zopio_trigger.testing.run import TestRun as TestRun

__all__ = ["BlockingPlatform", "BlockingRun", "TestPlatform", "TestRun", "at_every_commit"]

_HOMES = {
    "BlockingPlatform": "blocking",
    "BlockingRun": "blocking",
    "TestPlatform": "platform",
    "TestRun": "run",
    "at_every_commit": "crashes",
}


def __getattr__(name: str) -> Any:
    """Import on first use: pytest loads this package in every project, and most tests need no platform."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
