"""What steers a run from inside. These derive from BaseException: user code that catches `Exception` must not catch
them, and code that swallows them anyway meets them again at its next `io` call."""

from __future__ import annotations


class Evicted(BaseException):
    """The run is no longer this process's business: dropped from memory, drained, cancelled, or leased to another."""


class Unwound(Evicted):
    """A sync job waits for long: its thread is given back, and the function is executed again later."""


class RunCancelled(Evicted):
    """The run was cancelled; raised in sync code at its next `io` call."""
