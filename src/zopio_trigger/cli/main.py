"""The command line: `zopio-trigger`, short `zt`. Commands are imported when they are asked for, so that each starts
as fast as what it needs."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, Final

import click

from zopio_trigger.cli.outcome import INTERRUPTED, USAGE, Failure, failure_of
from zopio_trigger.cli.output import Manner

# Command -> module of this package with an object of the same name, and its line in `--help`.
COMMANDS: Final[dict[str, str]] = {
    "init": "Write a small app to begin with.",
    "dev": "Run an app here: server and worker, reloaded on save.",
    "send": "Send an event.",
    "runs": "List, show, follow, cancel, replay and retry runs.",
    "jobs": "List the jobs the platform knows.",
    "schedules": "List schedules and when they fire next.",
    "doctor": "Look for what is wrong with this installation.",
    "version": "Show the version.",
    "completion": "Print completion for bash, zsh or fish.",
}

FLAGS: Final = frozenset({"--debug", "--quiet"})
"""Flags that are taken wherever they stand."""


class CommandLine(click.Group):
    """The group of all commands: imports them late, and says how they end."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"zopio_trigger.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(unknown("command", args[0], COMMANDS), ctx)
        return super().resolve_command(ctx, args)

    def main(
        self, args: Sequence[str] | None = None, prog_name: str | None = None, complete_var: str | None = None,
        standalone_mode: bool = True, windows_expand_args: bool = True, **extra: Any,
    ) -> Any:  # fmt: skip
        words, flags = without_flags(sys.argv[1:] if args is None else args)
        try:
            outcome = super().main(
                words, prog_name, complete_var, standalone_mode=False, windows_expand_args=windows_expand_args,
                obj=Manner(is_quiet="--quiet" in flags), **extra,
            )  # fmt: skip
            code = outcome if isinstance(outcome, int) else 0
        except click.Abort:  # Ctrl+C, or the end of the input at a question
            click.echo("interrupted", err=True)
            code = INTERRUPTED
        except Exception as error:  # the last stop of everything that goes wrong in a command
            code = _told(error, is_debugging="--debug" in flags)
        if standalone_mode:
            sys.exit(code)
        return code


def without_flags(args: Sequence[str]) -> tuple[list[str], frozenset[str]]:
    """The arguments without the flags that may stand anywhere before `--`, and those that were there."""
    words = list(args)
    end = words.index("--") if "--" in words else len(words)
    kept = [word for word in words[:end] if word not in FLAGS]
    return kept + words[end:], FLAGS.intersection(words[:end])


def unknown(what: str, word: str, known: Sequence[str] | dict[str, str]) -> str:
    """That there is no such thing, and the nearest that there is."""
    from zopio_trigger.model.names import nearest

    guess = nearest(word, known)
    return f"no {what} {word!r}" + (
        f"; did you mean {guess!r}?" if guess else f"; there are {', '.join(known)}"
    )


def _told(error: Exception, *, is_debugging: bool) -> int:
    """Say what went wrong and return the exit code."""
    if is_debugging:
        traceback.print_exception(error)
    if isinstance(error, click.UsageError) and error.ctx is not None:
        click.echo(f"{error.ctx.get_usage()}\nTry '{error.ctx.command_path} --help' for help.", err=True)
    if isinstance(error, click.UsageError):
        failure = Failure(error.format_message(), USAGE)
    elif isinstance(error, click.ClickException):
        failure = Failure(error.format_message(), error.exit_code)
    else:
        failure = failure_of(error)
    failure.show()
    return failure.exit_code


def _colours(ctx: click.Context) -> None:
    """Honour NO_COLOR; click leaves colours out by itself where the output is no terminal."""
    if os.environ.get("NO_COLOR"):
        ctx.color = False


@click.group(cls=CommandLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error; may stand anywhere.")
@click.option("--quiet", is_flag=True, help="Say nothing but data and errors; may stand anywhere.")
@click.version_option(
    None, "-V", "--version", package_name="zopio-trigger", message="zopio-trigger %(version)s"
)
@click.pass_context
def main(ctx: click.Context, debug: bool, quiet: bool) -> None:
    """Durable background jobs and event-driven workflows for Python."""
    _colours(ctx)
