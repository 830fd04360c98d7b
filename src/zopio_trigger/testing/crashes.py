"""Crashes, all of them: a scenario is run once for each moment at which its process may die."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, get_args

from zopio_trigger.sdk.client import TriggerClient
from zopio_trigger.testing.platform import TestPlatform
from zopio_trigger.testing.store import Moment

Scenario = Callable[[TestPlatform], Awaitable[object]]
"""What happens, and what must be true at the end."""


async def at_every_commit(scenario: Scenario, *clients: TriggerClient, **options: Any) -> int:
    """Run a scenario in peace, and once more for each of its commits and each side of it, killing the process there.

    A process can only lose what was not committed, so these are all the deaths that make a difference: right before a
    commit what it holds is lost, right after it nobody has heard of it. Each time a new process takes over on the same
    store, and the scenario goes on.

    Parameters:
        scenario: called with a fresh `TestPlatform`; asserts what must be true whenever the process dies, such as that
            a customer is charged once. A task's body may run twice, when it had ended and its result was not stored.
        clients: whose jobs are executed.
        options: as for `TestPlatform`.

    Returns how often the scenario was run. What it raises comes out with a note that says where the process died.

    Example:
        >>> async def order_is_paid_once(platform):
        ...     run = await platform.send("order.placed", {"id": 1})
        ...     assert (await run.fast_forward()).output == "paid"
        >>> await at_every_commit(order_is_paid_once, client)
    """
    commits = await _commits_of(scenario, clients, options)
    moments: tuple[Literal["before", "after"], ...] = get_args(Moment)
    for number in range(1, commits + 1):
        for moment in moments:
            await _with_death(scenario, clients, options, number, moment)
    return 1 + commits * len(moments)


async def _commits_of(scenario: Scenario, clients: tuple[TriggerClient, ...], options: dict[str, Any]) -> int:
    async with TestPlatform(*clients, **options) as platform:
        begun = platform.commits
        await scenario(platform)
        return platform.commits - begun


async def _with_death(
    scenario: Scenario,
    clients: tuple[TriggerClient, ...],
    options: dict[str, Any],
    number: int,
    moment: Moment,
) -> None:
    async with TestPlatform(*clients, **options) as platform:
        platform.crash_at_commit(number, moment)
        try:
            await scenario(platform)
        except BaseException as error:
            error.add_note(f"The process died {moment} commit {number} of the scenario.")
            raise
