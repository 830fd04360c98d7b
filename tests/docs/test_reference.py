"""The reference is complete and right: what the code has is in its tables with its defaults, and nothing else is."""

from __future__ import annotations

import ast
import inspect
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import zopio_trigger
from tests.docs.pages import ROOT, code_in, page
from zopio_trigger import IO, Context, Limit, Retry, TriggerClient, errors
from zopio_trigger.cli import outcome, target
from zopio_trigger.composition import embedded, open_store
from zopio_trigger.engine import limits as engine_limits
from zopio_trigger.engine import runs as engine_runs
from zopio_trigger.model import cron, durations, filters, json, names, records, retry, timetable
from zopio_trigger.model.clock import SystemClock
from zopio_trigger.model.ids import Ids
from zopio_trigger.model.states import RUN_STATES, TASK_STATES_V2
from zopio_trigger.model.views import RunView
from zopio_trigger.platform import platform, pruner, reads
from zopio_trigger.sdk import job, limit
from zopio_trigger.sdk.triggers import Triggers
from zopio_trigger.server import answers, auth, calls
from zopio_trigger.server.app import create_app
from zopio_trigger.server.native import runs as native_runs
from zopio_trigger.server.v2 import runs as v2_runs
from zopio_trigger.worker import execution, failure, journal, worker

REFERENCE = page("reference.md")
SOURCE = ROOT / "src" / "zopio_trigger"
REQUIRED = "required"
SECOND = 1_000_000  # microseconds
DAY = 86_400 * SECOND


# --- settings


def test_every_environment_variable_is_documented() -> None:
    used = {name for file in SOURCE.rglob("*.py") for name in environment_variables_in(file.read_text())}
    assert used == REFERENCE.options_under("Environment variables").keys()


def environment_variables_in(source: str) -> Iterator[str]:
    """Names looked up in `os.environ`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            yield ast.literal_eval(node.slice)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("os.environ.get", "os.getenv"):
            yield ast.literal_eval(node.args[0])


def test_defaults_of_environment_variables_are_those_of_the_code() -> None:
    told = REFERENCE.options_under("Environment variables")
    assert told["TRIGGER_API_KEY"] == zopio_trigger.config.LOCAL_KEY
    assert told["TRIGGER_API_URL"] == zopio_trigger.config.LOCAL_URL
    assert told["TRIGGER_STORE"] == zopio_trigger.config.DEFAULT_STORE


def test_every_setting_of_pyproject_is_documented() -> None:
    example = next(block for block in REFERENCE.blocks if block.language == "toml")
    assert set(re.findall(r"^([\w-]+) =", example.text, re.MULTILINE)) == target.SETTINGS


# --- Python


def parameters(function: Callable[..., Any], *but: str) -> dict[str, str]:
    """The parameters of a function with their defaults as code, without self, `*args`, and those named."""
    found = inspect.signature(function).parameters.values()
    return {
        parameter.name: REQUIRED if parameter.default is parameter.empty else as_code(parameter.default)
        for parameter in found
        if parameter.name not in ("self", "names", "args", "kwargs", *but)
    }


def as_code(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


@pytest.mark.parametrize(
    ("heading", "function"),
    [
        ("TriggerClient", TriggerClient),
        ("Jobs", TriggerClient.define_job),
        ("send_event", TriggerClient.send_event),
        ("Retry", Retry),
        ("Limit", Limit),
        ("embedded", embedded),
    ],
)
def test_every_parameter_is_documented(heading: str, function: Callable[..., Any]) -> None:
    assert REFERENCE.options_under(heading) == parameters(function)


def test_job_takes_what_define_job_takes() -> None:
    assert parameters(TriggerClient.job) == parameters(TriggerClient.define_job, "run")


def test_every_option_of_triggers_is_documented() -> None:
    told = [(code_in(row[0])[0], row[1].strip("`")) for row in REFERENCE.rows_under("Triggers")]
    taken = [
        pair
        for function in (Triggers.event, Triggers.schedule, Triggers.interval)
        for pair in parameters(function).items()
    ]
    assert told == taken
    assert {name for name in vars(Triggers) if not name.startswith("_")} == {
        "event", "schedule", "interval", "invoke",
    }  # fmt: skip


def test_every_option_of_run_task_is_documented() -> None:
    assert REFERENCE.options_under("io") == parameters(IO.run_task, "key", "function")


@pytest.mark.parametrize(("heading", "kind"), [("TriggerClient", TriggerClient), ("io", IO)])
def test_every_method_is_documented(heading: str, kind: type) -> None:
    told = {re.split(r"\W", code_in(row[0])[0])[0] for row in REFERENCE.rows_under(heading) if len(row) == 2}
    there_are = {name for name in dir(kind) if not name.startswith("_")}
    assert told == there_are


def test_every_field_of_a_run_is_documented() -> None:
    told = [name for row in REFERENCE.rows_under("Runs") for name in code_in(row[0])]
    assert sorted(told) == sorted(RunView.__struct_fields__)


def test_every_field_of_the_context_is_documented() -> None:
    told = {row[0].strip("`"): code_in(row[1]) for row in REFERENCE.rows_under("Context")}
    hints = inspect.get_annotations(Context, eval_str=True)
    assert told == {name: list(inspect.get_annotations(part)) for name, part in hints.items()}


def test_every_operator_of_filters_is_documented() -> None:
    assert [row[0].strip("`") for row in REFERENCE.rows_under("Filters")] == list(filters._OPERATORS)


def test_every_name_of_the_package_is_documented() -> None:
    for name in zopio_trigger.__all__:
        assert re.search(rf"\b{name}\b", REFERENCE.text), f"{name} is not in the reference"


# --- HTTP


def test_every_route_is_documented() -> None:
    clock = SystemClock()
    store = open_store("sqlite:///:memory:", clock)
    behind = platform.Platform(store=store, clock=clock, ids=Ids(clock, random.Random(0)))
    table = create_app(behind).state.table
    told = [(row[0], row[1].strip("`")) for row in REFERENCE.rows_under("HTTP API")]
    assert sorted(told) == sorted((route.method, route.path) for route in table.routes)


# --- states and errors


def test_every_state_is_documented() -> None:
    rows = REFERENCE.rows_under("States")
    of_runs = {row[0].strip("`"): row[1:3] for row in rows if len(row) == 4}
    assert of_runs == {state: (words.people, words.v2) for state, words in RUN_STATES.items()}
    of_tasks = {row[0].strip("`"): row[1] for row in rows if len(row) == 3}
    assert of_tasks == TASK_STATES_V2


def error_classes() -> dict[str, type[errors.ZopioTriggerError]]:
    return {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.ZopioTriggerError)
    }


def test_every_error_is_documented_with_its_status_and_exit_code() -> None:
    told = {row[0].strip("`"): (int(row[2]), int(row[3])) for row in REFERENCE.rows_under("Errors")}
    assert told == {name: (status_of(kind), exit_code_of(kind)) for name, kind in error_classes().items()}


def status_of(kind: type[errors.ZopioTriggerError]) -> int:
    return next(answers.STATUSES[base] for base in kind.__mro__ if base in answers.STATUSES).value


def exit_code_of(kind: type[errors.ZopioTriggerError]) -> int:
    return outcome.exit_code_of(kind.__new__(kind))


# --- limits

BODY = calls.BodyLimits()

LIMITS: dict[str, tuple[float, ...]] = {
    "JSON of one payload, output, task result or context": (json.DEFAULT.max_bytes,),
    "JSON, depth": (json.DEFAULT.max_depth,),
    "JSON, digits of an integer": (json.DEFAULT.max_digits,),
    "names, ids, parts of a key": (names.MAX_LENGTH,),
    "parts of a task key": (names.MAX_PARTS,),
    "body of a request": (BODY.body_bytes,),
    "body of a bulk request": (BODY.bulk_bytes,),
    "events in a bulk request": (BODY.bulk_events,),
    "time to send a request's body": (BODY.body_seconds,),
    "query of a request": (calls.MAX_QUERY_BYTES, calls.MAX_QUERY_FIELDS),
    "wait, delay, pause between attempts": (durations.LONGEST_SECONDS,),
    "tasks of a run": (worker.MAX_TASKS,),
    "attempts of a task": (retry.MAX_ATTEMPTS,),
    "interval of a schedule": (1, timetable.LONGEST_INTERVAL_SECONDS, 30),
    "cron expression": (cron.LONGEST_EXPRESSION,),
    'missed times that `catch_up="all"` makes up for': (timetable.MOST_CAUGHT_UP,),
    'lateness that `catch_up="none"` still takes as on time': (timetable.GRACE_US / SECOND,),
    "event filter": (filters.MAX_DEPTH, filters.MAX_NODES),
    "`concurrency`": (1, limit.MAX_LIMIT),
    "`priority`": (job.MAX_PRIORITY, job.MAX_PRIORITY),
    "value of a limit's `key`": (engine_limits.MAX_KEY_LENGTH,),
    "executing runs of a worker (slots)": (worker.SLOTS,),
    "waiting runs that a worker keeps in memory": (worker.MAX_RESIDENTS,),
    "threads of a worker for `def` jobs and tasks": (worker.MAX_THREADS,),
    "wait for which a `def` job keeps its thread": (worker.SHORT_WAIT / SECOND,),
    "text of an error": (failure.MAX_MESSAGE,),
    "traceback of an error": (failure.MAX_TRACEBACK, failure.MAX_FRAMES),
    "log line, and its data": (journal.MAX_LINE,),
    "time until a log line is on disk": (execution.LOGS_WAIT_FOR / 1_000,),
    "deaths of its process in a row from which a run executes alone": (records.ALONE_FROM,),
    "deaths of its process in a row that end a run as crashed": (engine_runs.MAX_INTERRUPTIONS,),
    "runs are kept after their end": (platform.RETENTION / DAY,),
    "events are kept after their last run's end": (pruner.EVENTS_KEPT_FOR / DAY,),
    "runs on a page": (reads.MAX_RUNS_A_PAGE,),
    "log lines on a page": (reads.MAX_LINES_A_PAGE,),
    "planned times of a schedule shown": (reads.MAX_UPCOMING,),
    "runs of an event shown": (reads.MAX_RUNS_OF_AN_EVENT,),
    "tasks or runs on a page of the 2.x API": (v2_runs.MOST, v2_runs.TAKE),
    "time for which a revoked API key may still work": (auth.KNOWN_FOR_SECONDS,),
    "reason of a cancellation": (native_runs.MAX_REASON_LENGTH,),
}


def test_every_limit_is_that_of_the_code() -> None:
    told = {row[0]: tuple(float(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", row[1]))
            for row in REFERENCE.rows_under("Limits")}  # fmt: skip
    assert told == LIMITS
