"""The slot of a run: kept while anything in it can get on, given back while everything waits.

What counts is the bodies that can get on by themselves (`_busy`). The job's function is one, and each task body; one
that has made `io` calls and waits for them does not count, the calls do. When nothing can get on and something waits
for time, the run is suspended: the slot goes back, the coroutines stay where they are. They go on after a commit that
gave the run a slot again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from zopio_trigger.model.commands import BeginWaits, Begun, ResumeRun, Wait
from zopio_trigger.sdk.scope import Scope
from zopio_trigger.worker.steering import Evicted

if TYPE_CHECKING:
    from zopio_trigger.worker.execution import Execution

HELD, GIVING_BACK, GIVEN_BACK = "held", "giving back", "given back"


class Slot:
    """Whether one execution may get on, and who in it waits for what."""

    __slots__ = (
        "_busy", "_execution", "_granted", "_is_settling", "_is_settling_soon", "_new_waits", "_resumed_early",
        "_sleepers", "_state",
    )  # fmt: skip

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._state = HELD
        self._busy = 1  # the job's function
        self._sleepers: dict[str, asyncio.Future[None]] = {}
        self._new_waits: list[Wait] = []
        self._is_settling = False
        self._is_settling_soon = False
        self._resumed_early = False
        self._granted: asyncio.Future[None] | None = None

    @property
    def is_held(self) -> bool:
        return self._state is HELD

    @property
    def is_given_back(self) -> bool:
        return self._state is GIVEN_BACK

    # --- what the platform tells

    def regain(self) -> None:
        """The run has a slot again."""
        if self._state is GIVING_BACK:
            self._resumed_early = True  # the answer to the suspension is still on its way
        elif self._state is GIVEN_BACK:
            self._go_on()

    def heed_news(self) -> None:
        """Something is known of a task: whoever waits for it goes on as soon as the run has a slot."""
        if self._state is HELD:
            self._resolve_woken()

    def end(self) -> list[asyncio.Future[None]]:
        """The execution is over. Returns what is waited for, for the caller to end."""
        waiting = [*self._sleepers.values(), *([self._granted] if self._granted is not None else [])]
        self._sleepers.clear()
        return [future for future in waiting if not future.done()]

    # --- what calls tell

    def enter(self, scope: Scope) -> None:
        """A call begins that can get on by itself; the body that made it now waits."""
        if scope.open:
            self._busy += 1
        scope.open += 1

    def leave(self, scope: Scope) -> None:
        """A call ends; when it was the last open one of its body, that body gets on again."""
        scope.open -= 1
        if scope.open:
            self._busy -= 1
            self._settle_soon()

    async def take(self) -> None:
        """Return when the run has its slot, asking for one if it was given back."""
        while self._state is not HELD:
            self._execution.give_up_if_over()
            if self._granted is None:
                self._granted = asyncio.get_running_loop().create_future()
                self._ask()
            await asyncio.shield(self._granted)
        self._execution.give_up_if_over()

    def begin(self, wait: Wait) -> None:
        """Have a new wait stored, at once or with the suspension. Whoever began it sleeps next."""
        self._new_waits.append(wait)

    async def sleep(self, hash: str) -> None:
        """Return when the task of this hash went on by itself and the run has a slot."""
        if self._state is HELD and self._has_gone_on(hash):
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers[hash] = future
        self._busy -= 1
        self._settle_soon()
        try:
            await future
        except asyncio.CancelledError:
            if self._sleepers.pop(hash, None) is not None:
                self._busy += 1
            raise

    # --- suspension

    def _settle_soon(self) -> None:
        """Look in a tick whether anything can still get on: siblings of this call may be about to begin."""
        if not self._is_settling_soon and (self._sleepers or self._new_waits):
            self._is_settling_soon = True
            asyncio.get_running_loop().call_soon(self._settle)

    def _settle(self) -> None:
        """Begin new waits, and suspend the run when nothing in it can get on."""
        self._is_settling_soon = False
        if self._is_settling or self._execution.is_over:
            return
        suspend = self._busy == 0 and self._state is HELD and bool(self._sleepers)
        if not self._new_waits and not suspend:
            return
        waits, self._new_waits = tuple(self._new_waits), []
        new = {wait.task.hash for wait in waits}
        others = tuple([hash for hash in self._sleepers if hash not in new])
        if suspend:
            self._state = GIVING_BACK
        self._is_settling = True
        run, lines = self._execution.run, self._execution.journal.take_all()
        command = BeginWaits(run.id, run.token, waits, suspend, others, lines)
        beginning = asyncio.get_running_loop().create_task(self._begin(command))
        self._execution.worker.keep(beginning)

    async def _begin(self, command: BeginWaits) -> None:
        try:
            begun: Begun = await self._execution.store(command)
        except Evicted as reason:
            self._execution.evict(reason)
            return
        except Exception as error:  # a fault of ours: the run fails with it rather than wait for ever
            await self._execution.break_off(error)
            return
        finally:
            self._is_settling = False
        for task in begun.tasks:
            self._execution.note(task)
        self._settled(begun)

    def _settled(self, begun: Begun) -> None:
        if self._state is GIVING_BACK:
            resumed, self._resumed_early = self._resumed_early, False
            if not begun.is_suspended or resumed:
                self._go_on()
            else:
                self._state = GIVEN_BACK
                if self._granted is not None:
                    self._ask()
                self._execution.worker.suspended(self._execution, begun.tasks)
        elif self._state is HELD:
            self._resolve_woken()
        self._settle_soon()

    def _go_on(self) -> None:
        self._state = HELD
        self._execution.worker.resumed(self._execution)
        granted, self._granted = self._granted, None
        if granted is not None and not granted.done():
            granted.set_result(None)
        self._resolve_woken()
        self._settle_soon()

    def _resolve_woken(self) -> None:
        """Let everybody go on whose task did."""
        for hash in [hash for hash in self._sleepers if self._has_gone_on(hash)]:
            future = self._sleepers.pop(hash)
            self._busy += 1
            if not future.done():
                future.set_result(None)

    def _has_gone_on(self, hash: str) -> bool:
        task = self._execution.memo.get(hash)
        return task is not None and task.state != "waiting"

    def _ask(self) -> None:
        if self._state is GIVEN_BACK:
            asking = asyncio.get_running_loop().create_task(self._resume_run())
            self._execution.worker.keep(asking)

    async def _resume_run(self) -> None:
        try:
            await self._execution.store(ResumeRun(self._execution.run.id, self._execution.run.token))
        except Evicted as reason:
            self._execution.evict(reason)
        except Exception as error:  # a fault of ours, as in `_begin`
            await self._execution.break_off(error)
