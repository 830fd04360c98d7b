"""The benchmarks at a size that shows whether they work. No timing is asserted here."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from benchmarks.__main__ import WORKLOADS, main, measure
from benchmarks.contest import seconds_for, sequential
from benchmarks.machine import look
from benchmarks.place import Place
from benchmarks.recovery import Began, Diary, Recorded, lost_runs, repeated_tasks
from benchmarks.reference import ReferenceLoop
from benchmarks.report import Report
from benchmarks.tally import Tally
from benchmarks.workload import TINY

from tests.factories import a_run

FIGURES: dict[str, set[str]] = {
    "W1": {"jobs_per_s"},
    "W1h": {"events_per_s", "bulk_events_per_s"},
    "W2": {"tasks_per_s"},
    "W3": {"first_line_p50_ms", "first_line_p99_ms", "result_p50_ms", "result_p99_ms"},
    "W4": {"task_p50_us"},
    "W6": {
        "all_asleep_s", "kb_per_run", "idle_cpu", "evicted_all_asleep_s", "evicted_kb_per_run",
        "evicted_disk_bytes_per_run",
    },
    "W7": {"recovery_s", "lost", "repeated"},
    "W8": {"cold_start_s", "mb"},
}  # fmt: skip
IN_THIS_PROCESS = ("W1", "W2", "W3", "W4")
WITH_PROCESSES = ("W1h", "W6", "W8")


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'any.db'}"


def measured(name: str, store: str) -> dict[str, Any]:
    """The report on one repetition of one workload, as whoever reads the JSON sees it."""
    place = Place(store)
    found = Report(look(place, repetitions=1, sizes="tiny"))
    measure([WORKLOADS[name]], found, place=place, sizes=TINY, repeat=1)
    report: dict[str, Any] = json.loads(found.json())
    return report


# --- workloads


@pytest.mark.parametrize("name", IN_THIS_PROCESS)
def test_a_workload_in_this_process_reports_its_figures_and_its_ratio(name: str, store: str) -> None:
    report = measured(name, store)

    assert set(report[name]) == FIGURES[name] | {"repetitions"}
    assert all(report[name][figure] > 0 for figure in FIGURES[name])
    assert report["reference"][name]["ratio"] > 0
    assert report["reference"][name]["fdatasync_p50_us"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_PROCESSES)
def test_a_workload_with_processes_reports_its_figures(name: str, store: str) -> None:
    report = measured(name, store)

    assert set(report[name]) == FIGURES[name] | {"repetitions"}
    assert report["reference"][name]["fdatasync_p50_us"] > 0


@pytest.mark.slow
def test_a_killed_process_loses_and_repeats_nothing(store: str) -> None:
    report = measured("W7", store)

    assert set(report["W7"]) == FIGURES["W7"] | {"repetitions"}
    assert report["W7"]["lost"] == 0
    assert report["W7"]["repeated"] == 0
    assert report["W7"]["recovery_s"] > 0


def test_a_workload_that_cannot_be_measured_yet_is_null(store: str) -> None:
    report = measured("W5", store)

    assert report["W5"] is None


def test_stores_are_gone_after_the_measurement(store: str, tmp_path: Path) -> None:
    measured("W2", store)

    assert list(tmp_path.iterdir()) == []


# --- the command line


def test_the_command_line_writes_every_repetition_beside_the_median(store: str, tmp_path: Path) -> None:
    file = tmp_path / "new-folder" / "report.json"

    status = main(["w2", "W4", "--tiny", "--repeat", "3", "--store", store, "--json", str(file)])

    report = json.loads(file.read_text())
    assert status == 0
    assert set(report) == {"machine", "reference", "W2", "W4"}
    rates = sorted(repetition["tasks_per_s"] for repetition in report["W2"]["repetitions"])
    assert len(rates) == 3
    assert report["W2"]["tasks_per_s"] == rates[1]
    assert len(report["reference"]["W4"]["repetitions"]) == 3
    assert report["machine"]["sizes"] == "tiny"
    assert {
        "cpu",
        "cores",
        "python",
        "sqlite",
        "synchronous",
        "uvloop",
        "store",
        "commit",
        "load_before",
    } <= set(report["machine"])


@pytest.mark.parametrize(
    ("arguments", "reason"), [(["--repeat", "2"], "at least 3"), (["W99"], "there is no workload 'W99'")]
)
def test_the_command_line_says_what_makes_no_sense(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(arguments)

    assert reason in capsys.readouterr().err


# --- places


def test_the_shown_store_hides_its_password() -> None:
    shown = Place("postgresql://me:secret@db.example/jobs").shown

    assert shown == "postgresql://db.example/jobs"


def test_memory_stores_are_used_as_they_are() -> None:
    with Place("sqlite:///:memory:").fresh() as spot:
        assert spot.url == "sqlite:///:memory:"


# --- the reference loop


def test_the_reference_loop_stores_every_run_and_task_it_executes(tmp_path: Path) -> None:
    async def execute() -> None:
        async with ReferenceLoop(tmp_path / "reference.db", sequential(3)) as loop:
            await seconds_for(loop, 10, 5)

    asyncio.run(execute())

    database = sqlite3.connect(tmp_path / "reference.db")
    counted = database.execute(
        "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM runs WHERE state = 'completed'), "
        '(SELECT count(*) FROM tasks WHERE output = \'{"number":2,"ok":true}\')'
    ).fetchone()
    database.close()
    assert counted == (10, 10, 10)


def test_the_reference_loop_says_why_a_job_failed(tmp_path: Path) -> None:
    async def job(payload: object, io: object) -> object:
        raise ValueError("no luck")

    async def execute() -> None:
        async with ReferenceLoop(tmp_path / "reference.db", job) as loop:
            await seconds_for(loop, 1, 1)

    with pytest.raises(ValueError, match="no luck"):
        asyncio.run(execute())


async def test_a_tally_raises_what_went_wrong_before_anybody_waited() -> None:
    tally = Tally()
    tally.fail(RuntimeError("run_1 ended as failed"))

    with pytest.raises(RuntimeError, match="run_1"):
        await tally.reached("completed", 1)


# --- what a crash did


def test_a_body_that_began_after_its_task_was_recorded_is_repeated() -> None:
    at_death = Recorded({}, {("run_1", "charge"): 200})
    in_the_end = Recorded({}, {("run_1", "charge"): 500, ("run_1", "mail"): 600})
    diary = Diary(
        sent=frozenset(),
        began=(
            Began(("run_1", "charge"), 100),
            Began(("run_1", "charge"), 400),
            Began(("run_1", "mail"), 550),
        ),
        ended=0,
    )

    assert repeated_tasks(diary, at_death, in_the_end) == 1


def test_a_body_that_was_cut_off_before_its_task_was_recorded_is_not_repeated() -> None:
    in_the_end = Recorded({}, {("run_1", "charge"): 500})
    diary = Diary(
        sent=frozenset(), began=(Began(("run_1", "charge"), 100), Began(("run_1", "charge"), 400)), ended=1
    )

    assert repeated_tasks(diary, Recorded({}, {}), in_the_end) == 0


def test_acknowledged_runs_that_are_gone_or_not_completed_are_lost() -> None:
    in_the_end = Recorded(
        {"run_1": a_run(id="run_1", state="completed"), "run_2": a_run(id="run_2", state="failed")}, {}
    )
    diary = Diary(sent=frozenset({"run_1", "run_2", "run_3"}), began=(), ended=0)

    assert lost_runs(diary, in_the_end) == 2


def test_a_diary_that_was_cut_in_the_middle_of_a_line_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "diary"
    path.write_text("sent run_1\nbegan run_1 charge 100\nended run_1 charge 120\nbegan run_1 ma")

    diary = Diary.read(path)

    assert diary == Diary(frozenset({"run_1"}), (Began(("run_1", "charge"), 100),), 1)
