"""The story of runs: news in, lines out."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tests.cli.processes import without_colours
from zopio_trigger.cli.story import Story
from zopio_trigger.model.views import LogView, RunView, TaskView, WaitingReason

RUN = "run_01M85B9F8JN9YAEG9DFW1MG23N"
OTHER = "run_01M85B9F8JN9YAEG9DFW1MG24Z"
ERROR = msgspec.Raw(
    b'{"type": "RuntimeError", "message": "mail server down", "at": "app.py:14 in send_email"}'
)


def at(milliseconds: int) -> str:
    return f"2026-01-01T09:00:{milliseconds // 1000:02}.{milliseconds % 1000:03}Z"


def a_run(**changes: Any) -> RunView:
    run = RunView(
        id=RUN, status="executing", job="mail", version="1.0.0", event_id="evt_1", event_name=None, replay_of=None,
        queue="mail", queue_key="", is_test=False, executions=1, interruptions=0, created_at=at(0), ready_at=at(0),
        started_at=at(0), finished_at=None, duration_ms=None,
    )  # fmt: skip
    return msgspec.structs.replace(run, **changes)


def a_task(**changes: Any) -> TaskView:
    task = TaskView(
        id="task_1", key="send", kind="task", state="completed", parent_id=None, attempt=1, max_attempts=1,
        created_at=at(2), started_at=at(2), due_at=None, finished_at=at(10),
    )  # fmt: skip
    return msgspec.structs.replace(task, **changes)


def a_line(milliseconds: int, message: str) -> LogView:
    return LogView(
        at=at(milliseconds),
        level="info",
        message=message,
        data=msgspec.UNSET,
        task_id=None,
        execution=1,
        cursor="1.1",
    )


def a_story() -> Story:
    return Story(started_by=lambda run: "user.created")


def told(story: Story) -> list[str]:
    """The lines without their times."""
    return [re.sub(r"^\d\d:\d\d:\d\d\.\d\d\d ", "", without_colours(line)) for line in story.lines()]


def test_a_run_is_told_from_its_event_to_its_end() -> None:
    story = a_story()
    story.run(a_run())
    story.task(RUN, a_task())
    story.log(RUN, a_line(2, "Sending"))
    story.run(a_run(status="completed", finished_at=at(17), duration_ms=17.0))

    assert told(story) == [
        f"▸ {RUN} mail   queued by user.created",
        "  │ INFO  Sending",
        "  │ ✓ send  8 ms",
        f"✓ {RUN} mail   completed in 17 ms",
    ]


def test_a_line_of_log_comes_before_the_task_it_was_stored_with() -> None:
    story = a_story()
    story.run(a_run())
    told(story)
    story.task(RUN, a_task(finished_at=at(2)))
    story.log(RUN, a_line(2, "Sending"))

    assert told(story) == ["  │ INFO  Sending", "  │ ✓ send  <1 ms"]


def test_a_failure_names_the_task_the_attempts_and_the_place() -> None:
    story = a_story()
    story.run(a_run())
    failing = a_task(max_attempts=3, error=ERROR)
    story.task(
        RUN, msgspec.structs.replace(failing, state="waiting", attempt=2, due_at=at(1_000), finished_at=None)
    )
    story.task(RUN, msgspec.structs.replace(failing, state="failed", attempt=3, finished_at=at(3_000)))
    ended = msgspec.Raw(
        b'{"type": "RuntimeError", "message": "mail server down", "task": "send", "at": "x.py:1 in f"}'
    )
    story.run(a_run(status="failed", finished_at=at(3_100), duration_ms=3100.0, error=ended))

    lines = told(story)
    assert re.match(r"  │ ↻ send  attempt 1 of 3 failed: RuntimeError: mail server down; again at ", lines[1])
    assert lines[2] == "  │ ✕ send  RuntimeError: mail server down (attempt 3 of 3)"
    assert lines[3] == (
        f"✕ {RUN} mail   failed in 3.1 s   RuntimeError: mail server down (task send, 3 attempts)"
    )
    assert lines[4] == "  │   app.py:14 in send_email"


def test_lines_say_whose_they_are_when_several_runs_are_at_it() -> None:
    story = a_story()
    story.run(a_run())
    story.run(a_run(id=OTHER))
    told(story)
    story.log(RUN, a_line(5, "one"))
    story.log(RUN, a_line(6, "two"))
    story.log(OTHER, a_line(7, "three"))

    assert told(story) == ["  │ …G23N INFO  one", "  │ INFO  two", "  │ …G24Z INFO  three"]


def test_why_a_run_waits_is_told_once_and_retries_not_twice() -> None:
    story = a_story()
    sleeping = WaitingReason(kind="time", text="sleeping until tomorrow", since=at(5))
    retrying = WaitingReason(kind="retry", text="task `send` failed; …", since=at(5))
    story.run(a_run())
    story.run(a_run(status="suspended", waiting_reason=sleeping))
    story.run(a_run(status="suspended", waiting_reason=sleeping))
    story.run(a_run())
    story.run(a_run(status="suspended", waiting_reason=retrying))

    assert told(story)[1:] == [f"⏾ {RUN} mail   waiting: sleeping until tomorrow"]


def test_a_run_from_before_goes_on_rather_than_being_queued() -> None:
    for news in (a_run(executions=2), a_run(status="ready", ready_at=at(9_000))):
        story = a_story()
        story.run(news)

        assert told(story) == [f"▸ {RUN} mail   goes on"]


def test_a_retried_run_is_counted_from_its_retry() -> None:
    story = a_story()
    story.run(a_run(status="failed", finished_at=at(3_000), duration_ms=3000.0, error=ERROR))
    story.run(a_run(status="ready", ready_at=at(10_000)))
    story.run(a_run(status="completed", finished_at=at(10_012), duration_ms=10_012.0))

    assert told(story)[-2:] == [f"▸ {RUN} mail   queued again", f"✓ {RUN} mail   completed in 12 ms"]


def test_only_so_many_runs_are_remembered() -> None:
    from zopio_trigger.cli import story as module

    story = a_story()
    for number in range(module.MAX_RUNS_KNOWN + 10):
        story.run(a_run(id=f"run_{number}"))
    story.lines()
    story.run(a_run(id="run_0"))
    story.run(a_run(id=f"run_{module.MAX_RUNS_KNOWN}"))

    assert told(story) == ["▸ run_0 mail   queued by user.created"]


def test_what_users_write_cannot_steer_the_terminal() -> None:
    story = a_story()
    story.run(a_run())
    told(story)
    story.log(RUN, a_line(1, "clear \x1b[2J and \x9b31m and a\nsecond line"))

    assert told(story) == ["  │ INFO  clear \\x1b[2J and \\x9b31m and a\n  │         second line"]
