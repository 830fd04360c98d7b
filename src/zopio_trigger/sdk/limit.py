"""Limits as users write them: `concurrency=5`, or a `Limit` that several jobs share or that counts per key."""

from __future__ import annotations

from msgspec import Struct

from zopio_trigger.errors import ConfigurationError
from zopio_trigger.model.names import check_name

MAX_LIMIT = 100_000


class Limit(Struct, frozen=True):
    """How many runs may execute at once.

    Parameters:
        queue: name of the line the runs wait in. Jobs that name the same queue share one limit; the last one
            advertised sets it.
        limit: how many at once, from 1 to 100,000. A run that sleeps or waits counts nothing.
        key: dotted path into the payload, such as "customer.id". Each value found there is a line of its own
            with this limit.
    """

    queue: str
    limit: int
    key: str | None = None

    def __post_init__(self) -> None:
        check_name(self.queue, "queue name")
        check_limit(self.limit, self.queue)
        if self.key is not None:
            check_name(self.key, "limit key")


def check_limit(limit: object, what: str) -> int:
    """`limit` as a sensible number of runs."""
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_LIMIT:
        raise ConfigurationError(
            f"concurrency of {what!r} is {limit!r}; give a whole number from 1 to {MAX_LIMIT:,}"
        )
    return limit
