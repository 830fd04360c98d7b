"""Every exception of zopio-trigger, one tree.

    ZopioTriggerError
    ├── ConfigurationError     a setting is missing or makes no sense
    ├── InvalidInput           the caller's value cannot be accepted (HTTP 4xx); names the path inside it
    │   └── TooLarge           … because it is over a limit (HTTP 413)
    ├── NotFound               no such id in this environment (HTTP 404)
    ├── Conflict               the thing exists but its state forbids this (HTTP 409)
    ├── NotAuthorised          the API key is missing, unknown or revoked (HTTP 401)
    ├── Unreachable            the platform did not answer
    ├── StoreError             the store could not read or commit; nothing of the batch was acknowledged
    │   ├── StoreLocked        another process holds the SQLite file
    │   └── Unstorable         a value cannot be kept as it is; trying again will not help
    ├── LeaseLost              this worker no longer holds the run; whatever it wanted to write is refused
    ├── DuplicateTaskKey       one execution used a task key twice under one parent
    ├── TaskFailed             a task failed for good; carries the stored error
    │   └── TaskTimeout        … because its last attempt took longer than its timeout
    ├── InvalidPayload         the payload does not match the job's schema; ends the run as invalid payload
    ├── NonRetryable           raised by user code: fail this task now, whatever its retry policy
    └── RetryAt                raised by user code: try this task again at a given time

Exceptions that steer a run (`Evicted`, `Unwound`) derive from BaseException and live in the worker: user code
that catches `Exception` must not catch them.
"""

from __future__ import annotations

from datetime import datetime


class ZopioTriggerError(Exception):
    """Base of all errors raised by zopio-trigger."""


class ConfigurationError(ZopioTriggerError):
    """A setting is missing or makes no sense; the message names it and says what to set."""


class InvalidInput(ZopioTriggerError, ValueError):
    """The caller's value cannot be accepted.

    Attributes:
        path: where in the value, as a JSON path (`$.event.payload[3]`); `""` when it is the value as a whole.
    """

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class TooLarge(InvalidInput):
    """The value is over a limit; the message names the limit."""


class NotFound(ZopioTriggerError, LookupError):
    """No such id in this environment."""


class Conflict(ZopioTriggerError):
    """The thing exists, but its state forbids what was asked."""


class NotAuthorised(ZopioTriggerError):
    """The API key is missing, unknown or revoked."""


class Unreachable(ZopioTriggerError, ConnectionError):
    """The platform did not answer; the message names its address."""


class StoreError(ZopioTriggerError):
    """The store could not read or commit; nothing of the batch was acknowledged."""


class StoreLocked(StoreError):
    """Another process holds the SQLite file; the message names it."""


class Unstorable(StoreError):
    """A value cannot be kept as it is (a NUL, half of a surrogate pair). Trying again will not help."""


class LeaseLost(ZopioTriggerError):
    """This worker no longer holds the run; whatever it wanted to write is refused."""


class DuplicateTaskKey(ZopioTriggerError):
    """One execution used a task key twice under one parent; the message names both call sites."""


class TaskFailed(ZopioTriggerError):
    """A task failed for good.

    Attributes:
        key: the task's key.
        error_type: class name of the exception that the last attempt raised.
        error_message: its text.
        traceback: its traceback as text, when one was stored.
    """

    def __init__(self, key: str, error_type: str, error_message: str, traceback: str | None = None) -> None:
        super().__init__(f"task {key!r} failed: {error_type}: {error_message}")
        self.key = key
        self.error_type = error_type
        self.error_message = error_message
        self.traceback = traceback


class TaskTimeout(TaskFailed):
    """The last attempt of a task took longer than its `timeout`."""


class InvalidPayload(ZopioTriggerError):
    """The payload does not match the job's schema.

    Attributes:
        issues: one `(path, message)` for each mismatch; the path is a JSON path (`$.user.email`).
    """

    def __init__(self, issues: tuple[tuple[str, str], ...]) -> None:
        super().__init__("; ".join(f"{path}: {message}" for path, message in issues))
        self.issues = issues


class NonRetryable(ZopioTriggerError):
    """Raise it in a task (or raise it `from` another error) to fail now, whatever the retry policy says."""


class RetryAt(ZopioTriggerError):
    """Raise it in a task to try again at `when`, whatever the retry policy says.

    Parameters:
        when: an aware datetime, at most ten years ahead; a past one means at once.
        reason: what to show while the task waits.
    """

    def __init__(self, when: datetime, reason: str = "asked to be retried") -> None:
        super().__init__(reason)
        self.when = when
