"""Hooks: jobs of their own that the end of a run starts, in the same transaction."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.kit import Kit
from tests.factories import NOW, a_job, a_run, a_seat
from zopio_trigger.engine.effects import Start
from zopio_trigger.engine.hooks import hook_id, notification
from zopio_trigger.model import json
from zopio_trigger.model.commands import CancelRun, CompleteRun, FailRun, InterruptRun
from zopio_trigger.model.records import Run
from zopio_trigger.model.trigger import InvokeTrigger, text_of

RUN = a_run(id="run_A", state="executing", token=3, holder="w1")
WITH_HOOKS = a_job(on_success=True, on_failure=True)
HOOKS = [
    a_job(id=hook_id("send-email", succeeded=succeeded), internal=True, trigger=text_of(InvokeTrigger()))
    for succeeded in (True, False)
]


def ended(command: Any, run: Run = RUN, job: Any = WITH_HOOKS, hooks: Any = HOOKS) -> Kit:
    kit = Kit(a_seat(), job, *hooks, run)
    kit.ask(command)
    return kit


def hooks_started(kit: Kit) -> list[str]:
    return [run.job for run in kit.changes.runs.values() if run.id != "run_A"]


@pytest.mark.parametrize(
    ("command", "hook"),
    [
        (CompleteRun("run_A", 3, "1"), ["send-email/on-success"]),
        (FailRun("run_A", 3, "failed", "{}"), ["send-email/on-failure"]),
        (FailRun("run_A", 3, "timed_out", "{}"), ["send-email/on-failure"]),
        (FailRun("run_A", 3, "invalid_payload", "{}"), ["send-email/on-failure"]),
        (CancelRun(1, "run_A"), []),
    ],
)
def test_the_end_of_a_run_starts_the_hook_for_that_end(command: Any, hook: list[str]) -> None:
    assert hooks_started(ended(command)) == hook


def test_a_crashed_run_has_failed() -> None:
    fragile = a_run(id="run_A", state="executing", token=3, interruptions=4)

    assert hooks_started(ended(InterruptRun("run_A", 3), fragile)) == ["send-email/on-failure"]


@pytest.mark.parametrize("job", [a_job(), a_job(on_failure=True), a_job(on_success=True, internal=True)])
def test_a_job_without_that_hook_starts_nothing(job: Any) -> None:
    assert hooks_started(ended(CompleteRun("run_A", 3, "1"), job=job)) == []


def test_a_hook_that_nobody_has_advertised_starts_nothing() -> None:
    assert hooks_started(ended(CompleteRun("run_A", 3, "1"), hooks=[])) == []


def test_the_hook_is_a_run_of_an_event_that_names_the_ended_run() -> None:
    kit = ended(CompleteRun("run_A", 3, '{"a":1e2}'))

    event, run = kit.only_event, kit.run("run_A-hook3")
    assert (event.id, event.job, event.origin_run) == ("evt_A-hook3", "send-email/on-success", "run_A")
    assert (event.delivered_at, run.event_id, run.state) == (NOW + 1, event.id, "ready")
    assert event.payload == (
        '{"ok":true,"run":{"id":"run_A","job":"send-email","version":"1.0.0","state":"completed"},'
        '"output":{"a":1e2},"error":null}'
    )


def test_the_hook_is_leased_at_once_when_there_is_room() -> None:
    kit = Kit(a_seat(jobs=frozenset({"send-email", *[hook.id for hook in HOOKS]})), WITH_HOOKS, *HOOKS, RUN)

    kit.ask(CompleteRun("run_A", 3, "1"))

    assert [start.run.job for start in kit.told(Start)] == ["send-email/on-success"]


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (a_run(state="completed", output="null"), (True, None, None)),
        (a_run(state="completed"), (True, None, None)),
        (a_run(state="failed", error='{"type":"Oops"}'), (False, None, {"type": "Oops"})),
    ],
)
def test_the_hook_is_told_how_the_run_ended(run: Run, told: Any) -> None:
    payload = json.decode(notification(run))

    assert (payload["ok"], payload["output"], payload["error"]) == told


def test_a_test_run_has_test_hooks() -> None:
    kit = ended(CompleteRun("run_A", 3, "1"), a_run(id="run_A", state="executing", token=3, is_test=True))

    assert kit.only_event.is_test
    assert kit.run("run_A-hook3").is_test


def test_each_end_of_a_retried_run_has_a_hook_of_its_own() -> None:
    first = ended(FailRun("run_A", 3, "failed", "{}"))
    second = ended(
        FailRun("run_A", 4, "failed", "{}"), a_run(id="run_A", state="executing", token=4, holder="w1")
    )

    assert first.only_event.id != second.only_event.id
