"""What a decision returns: the answer, the rows to write, what to do after the commit, what to decide next."""

from __future__ import annotations

from msgspec import Struct

from zopio_trigger.engine.effects import Effect
from zopio_trigger.model.commands import Command
from zopio_trigger.model.records import Row


class Guard(Row, frozen=True, array_like=True, gc=False):
    """A run that is not written but must still be as it was seen: the write fails when its revision moved on."""

    run_id: str
    revision: int


class Outcome(Struct, frozen=True, gc=False):
    """The result of one command. Refusals are raised instead and leave no trace."""

    answer: object
    changes: tuple[Row, ...] = ()
    effects: tuple[Effect, ...] = ()
    then: tuple[
        Command, ...
    ] = ()  # decided right after, in the same batch; one that is refused changes nothing
    parts: tuple[
        Outcome, ...
    ] = ()  # taken after that, each with what it wants decided next, one after another
