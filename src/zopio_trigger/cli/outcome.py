"""How a command ends: its exit codes, and errors said in one line on stderr."""

from __future__ import annotations

from typing import Final

import click

from zopio_trigger.errors import (
    ConfigurationError,
    Conflict,
    InvalidInput,
    NotAuthorised,
    NotFound,
    StoreLocked,
    Unreachable,
    ZopioTriggerError,
)

FAILED: Final = 1  # the run or the operation failed
USAGE: Final = 2
NOT_FOUND: Final = 3
NOT_AUTHORISED: Final = 4
UNREACHABLE: Final = 5
REFUSED: Final = 6  # the thing exists, but its state forbids this
TIMED_OUT: Final = 7
INTERRUPTED: Final = 130

_CODES: Final[tuple[tuple[type[ZopioTriggerError], int], ...]] = (
    (NotFound, NOT_FOUND),
    (NotAuthorised, NOT_AUTHORISED),
    (Unreachable, UNREACHABLE),
    (Conflict, REFUSED),
    (StoreLocked, REFUSED),
    (InvalidInput, USAGE),
    (ConfigurationError, USAGE),
)


class Failure(Exception):
    """Ends the command with `error: …` and an exit code.

    Parameters:
        message: what happened, why, and what to do next.
        exit_code: one of this module's; default 1.
    """

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code

    def show(self) -> None:
        """Say it on stderr."""
        click.echo(f"{click.style('error:', fg='red')} {self}", err=True)


def failure_of(error: Exception) -> Failure:
    """An exception as the failure of a command."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, ZopioTriggerError):
        return Failure(str(error), exit_code_of(error))
    return Failure(
        f"{type(error).__name__}: {error} (a fault in zopio-trigger; the same command with --debug shows where)"
    )


def exit_code_of(error: ZopioTriggerError) -> int:
    """The exit code that stands for an error of ours."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)
