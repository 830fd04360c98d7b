"""The documentation of the command line: every command and option is in the reference with its default, and every
command shown on any page is accepted."""

from __future__ import annotations

import shlex

import click
import pytest

from tests.docs.pages import Block, page, pages
from zopio_trigger.cli import outcome
from zopio_trigger.cli.main import main

REFERENCE = page("reference.md")
COMMON = REFERENCE.options_under("Which platform, and in what form")
TALK_TO_A_PLATFORM = ("send", "runs", "jobs", "schedules")
NAMES = ("zopio-trigger", "zt")
CONSOLES = [block for page in pages() for block in page.blocks if block.language == "console"]


def commands() -> dict[str, click.Command]:
    """Every command by its words, such as `runs list`."""
    context = click.Context(main)
    found: dict[str, click.Command] = {}
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None, name
        below = command.commands.items() if isinstance(command, click.Group) else []
        found |= {f"{name} {sub}": inner for sub, inner in below} or {name: command}
    return found


def options_of(command: click.Command) -> dict[str, str]:
    """Every option of a command, by each of its names, with its default as it is written."""
    return {
        name: default_of(parameter)
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in (*parameter.opts, *parameter.secondary_opts)
    }


def default_of(option: click.Option) -> str:
    if option.secondary_opts:
        return option.opts[0] if option.default else option.secondary_opts[0]
    is_told = isinstance(option.default, str | int) and not option.is_flag
    return str(option.default) if is_told else ""


def test_every_command_is_documented_with_its_options() -> None:
    for words, command in commands().items():
        options = options_of(command)
        is_common = COMMON.keys() <= options.keys()
        own = {name: default for name, default in options.items() if not (is_common and name in COMMON)}
        assert words in REFERENCE.headings, f"{words} has no heading"
        assert f"`zopio-trigger {words}" in REFERENCE.text, f"{words} is not described"
        assert REFERENCE.options_under(words) == own, words
        assert is_common == (words.split()[0] in TALK_TO_A_PLATFORM), words


def test_no_command_is_documented_that_does_not_exist() -> None:
    first = REFERENCE.headings.index("Which platform, and in what form")
    last = REFERENCE.headings.index("Exit codes")
    assert set(REFERENCE.headings[first + 1 : last]) == commands().keys()


def test_options_of_every_command_are_documented() -> None:
    assert (
        options_of(main).keys() | {"--help", "-h"}
        == REFERENCE.options_under("Options of every command").keys()
    )


def test_every_exit_code_is_documented() -> None:
    codes = {value for name, value in vars(outcome).items() if name.isupper() and isinstance(value, int)}
    assert {int(row[0].strip("`")) for row in REFERENCE.rows_under("Exit codes")} == codes | {0}


@pytest.mark.parametrize("block", CONSOLES, ids=lambda block: block.place)
def test_every_command_shown_is_accepted(block: Block) -> None:
    for line in block.text.splitlines():
        words = shlex.split(line.removeprefix("$ ")) if line.startswith("$ ") else []
        if words and words[0] in NAMES:
            accept(words[1:])


def accept(words: list[str]) -> None:
    """Parse a command as click would, without running it."""
    context = click.Context(main, info_name="zopio-trigger")
    while isinstance(context.command, click.Group):
        name, command, words = context.command.resolve_command(context, words)
        assert command is not None, words
        if isinstance(command, click.Group):
            context = click.Context(command, parent=context, info_name=name)
        else:
            command.make_context(name, words, parent=context)
            return
