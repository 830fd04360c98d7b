"""What is true of a SQLite store alone: its file, who may open it, and what happens when the disk says no."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.factories import a_run, a_task, an_event, changes_of
from tests.storage.sqlite import SQLite, asked
from zopio_trigger.errors import StoreError, StoreLocked
from zopio_trigger.model.clock import ManualClock
from zopio_trigger.model.records import Run
from zopio_trigger.storage.sqlite import lock
from zopio_trigger.storage.sqlite.schema import APPLICATION_ID
from zopio_trigger.storage.sqlite.store import SQLiteStore

DEADLINE_SECONDS = 20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
async def store(file: Path) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(file, clock=ManualClock())
    await store.open()
    yield store
    await store.close()


async def pragma(store: SQLiteStore, name: str) -> object:
    return (await asked(store, f"PRAGMA {name}"))[0][0]


# --- the file


async def test_commits_are_flushed_and_space_can_be_given_back(store: SQLiteStore) -> None:
    assert await pragma(store, "synchronous") == 2  # FULL
    assert await pragma(store, "journal_mode") == "wal"
    assert await pragma(store, "auto_vacuum") == 2  # INCREMENTAL


async def test_the_file_says_whose_it_is_and_how_new(store: SQLiteStore) -> None:
    assert await pragma(store, "application_id") == APPLICATION_ID
    assert await pragma(store, "user_version") == 1


async def test_normal_synchronous_is_for_those_who_ask_for_it(file: Path) -> None:
    store = SQLiteStore(file, clock=ManualClock(), synchronous="NORMAL")
    await store.open()

    assert await pragma(store, "synchronous") == 1
    await store.close()


async def test_readers_cannot_write(store: SQLiteStore) -> None:
    reader = store._readers[0]

    with pytest.raises(StoreError, match="readonly"):
        await reader.ask(lambda database: database.execute("DELETE FROM runs"))


async def test_a_folder_that_is_missing_is_made(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "a" / "b" / "store.db", clock=ManualClock())
    await store.open()

    assert (tmp_path / "a" / "b" / "store.db").exists()
    await store.close()


async def test_closing_leaves_one_file_and_its_lock(file: Path, store: SQLiteStore) -> None:
    await store.write(changes_of(a_run()))

    await store.close()

    assert sorted(path.name for path in file.parent.iterdir()) == ["store.db", "store.db.lock"]


async def test_every_row_can_be_read_with_a_plain_sqlite(file: Path, store: SQLiteStore) -> None:
    await store.write(changes_of(a_run()))

    with sqlite3.connect(file) as beside:
        assert beside.execute("SELECT id, state FROM runs").fetchall() == [("run_1", "ready")]
    beside.close()


# --- other people's files


async def refusal(file: Path) -> str:
    """What opening a file is refused with."""
    store = SQLiteStore(file, clock=ManualClock())
    with pytest.raises(StoreError) as refused:
        await store.open()
    return str(refused.value)


async def test_a_database_of_another_program_is_refused_and_left_alone(file: Path) -> None:
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE bookmarks (url)")
    other.close()
    before = file.read_bytes()

    assert "another program" in await refusal(file)

    assert file.read_bytes() == before


async def test_a_database_marked_by_another_program_is_refused(file: Path) -> None:
    with sqlite3.connect(file) as other:
        other.execute("PRAGMA application_id = 1196437808")
    other.close()

    assert "another program" in await refusal(file)


async def test_a_file_that_is_no_database_is_refused_and_left_alone(file: Path) -> None:
    file.write_text("Dear diary, " * 100)

    assert "not a database" in await refusal(file)

    assert file.read_text().startswith("Dear diary")


async def test_an_empty_file_becomes_a_store(file: Path) -> None:
    file.touch()
    store = SQLiteStore(file, clock=ManualClock())

    await store.open()

    assert await pragma(store, "auto_vacuum") == 2
    await store.close()


async def test_a_store_refused_can_be_tried_again(file: Path) -> None:
    file.write_text("Dear diary, " * 100)
    await refusal(file)
    file.unlink()

    store = SQLiteStore(file, clock=ManualClock())
    await store.open()

    assert (await store.boot()).jobs == []
    await store.close()


# --- one process for one file


async def test_a_second_store_in_the_same_process_is_refused(file: Path, store: SQLiteStore) -> None:
    second = SQLiteStore(file, clock=ManualClock())

    with pytest.raises(StoreLocked, match=f"store.db is in use by process {os.getpid()} "):
        await second.open()

    await store.write(changes_of(a_run()))  # the first one does not notice


HOLDER = textwrap.dedent("""
    import asyncio, os, sys, time
    from zopio_trigger.model.clock import ManualClock
    from zopio_trigger.storage.sqlite.store import SQLiteStore

    async def hold():
        store = SQLiteStore(sys.argv[1], clock=ManualClock())
        await store.open()
        if sys.argv[2] == "fork":
            child = os.fork()
            if child == 0:
                time.sleep(60)
                os._exit(0)
            print(child, flush=True)
        print("held", flush=True)
        await asyncio.Event().wait()

    asyncio.run(hold())
""")


class Holder:
    """Another process that has the store open."""

    def __init__(self, file: Path, how: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", HOLDER, str(file), how], stdout=subprocess.PIPE, text=True
        )
        self.children: list[int] = []

    def wait_until_held(self) -> None:
        assert self.process.stdout is not None
        while (line := self.process.stdout.readline().strip()) != "held":
            assert line.isdigit(), "the other process ended before it held the store"
            self.children.append(int(line))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE_SECONDS)

    def close(self) -> None:
        self.kill()
        for child in self.children:
            os.kill(child, signal.SIGKILL)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(
    params=[
        "alone",
        pytest.param("fork", marks=pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")),
    ]
)
def holder(request: pytest.FixtureRequest, file: Path) -> Iterator[Holder]:
    holder = Holder(file, request.param)
    holder.wait_until_held()
    yield holder
    holder.close()


async def test_a_second_process_is_refused_with_the_name_of_the_first(file: Path, holder: Holder) -> None:
    store = SQLiteStore(file, clock=ManualClock())

    with pytest.raises(StoreLocked, match=f"in use by process {holder.process.pid} "):
        await store.open()


async def test_a_killed_process_leaves_the_store_to_the_next_even_when_it_has_forked(
    file: Path, holder: Holder
) -> None:
    holder.kill()
    store = SQLiteStore(file, clock=ManualClock())

    await store.open()

    assert (await store.boot()).executing == []
    await store.close()


async def test_a_store_that_cannot_be_opened_lets_go_of_its_lock(file: Path) -> None:
    file.write_text("Dear diary, " * 100)
    await refusal(file)

    held = lock.FileLock(file)
    held.take()
    held.release()


MOUNTS = """\
overlay / overlay rw 0 0
/dev/sda1 /home ext4 rw 0 0
server:/export /home/ann nfs4 rw 0 0
/dev/sdb1 /home/ann/fast xfs rw 0 0
//nas/share /mnt/my\\040share cifs rw 0 0
tmpfs /tmp tmpfs rw 0 0
/dev/sdc1 /tmp ext4 rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/srv", "overlay"),
        ("/home/bob", "ext4"),
        ("/home/ann", "nfs4"),
        ("/home/ann/data", "nfs4"),
        ("/home/ann/fast/data", "xfs"),
        ("/home/annabel", "ext4"),
        ("/mnt/my share/db", "cifs"),
        ("/tmp/x", "ext4"),
    ],
)
def test_the_file_system_of_a_folder_is_that_of_the_deepest_mount(folder: str, kind: str) -> None:
    assert lock.file_system(Path(folder), MOUNTS) == kind


def test_without_a_table_of_mounts_nothing_is_known() -> None:
    assert lock.file_system(Path("/home"), "") is None


async def test_a_network_file_system_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_mounts", lambda: "server:/export / nfs4 rw 0 0")

    message = await refusal(file)

    assert "network file system (nfs4)" in message
    assert not file.exists()


# --- a disk that says no


async def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")

    assert "cannot be opened for writing" in await refusal(tmp_path / "taken" / "store.db")


async def test_a_file_that_cannot_be_opened_is_a_store_error(file: Path) -> None:
    file.mkdir()

    assert "unable to open database file" in await refusal(file)


async def test_a_full_disk_refuses_the_batch_and_nothing_is_half_written(store: SQLiteStore) -> None:
    adapter = SQLite(store._path)
    await store.write(changes_of(a_run()))
    pages = await pragma(store, "page_count")
    assert isinstance(pages, int)
    await pragma(store, f"max_page_count = {pages + 10}")

    with pytest.raises(StoreError, match="full"):
        await store.write(changes_of(a_run(id="run_2", event_id="evt_2"), a_task(output="x" * 1_000_000)))

    assert await adapter.dump(store, Run) == [a_run()]
    assert await store.tasks("run_1") == []

    await pragma(store, f"max_page_count = {pages + 10_000}")
    await store.write(changes_of(a_run(id="run_2", event_id="evt_2"), a_task(output="x" * 1_000_000)))
    assert len(await adapter.dump(store, Run)) == 2


SMALL_FILES = textwrap.dedent("""
    import asyncio, resource, sys
    from tests.factories import a_run, an_event, changes_of
    from zopio_trigger.errors import StoreError
    from zopio_trigger.model.clock import ManualClock
    from zopio_trigger.storage.sqlite.store import SQLiteStore

    async def fill():
        store = SQLiteStore(sys.argv[1], clock=ManualClock())
        await store.open()
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
        written = 0
        try:
            while written < 1_000:
                name = f"{written:04}"
                event = an_event(id=f"evt_{name}", payload='"' + "x" * 20_000 + '"')
                await store.write(changes_of(event, a_run(id=f"run_{name}", event_id=event.id)))
                written += 1
        except StoreError as error:
            print(written, error)
        await store.close()

    asyncio.run(fill())
""")


async def test_what_was_acknowledged_before_the_disk_was_full_is_there_and_nothing_else(file: Path) -> None:
    outcome = subprocess.run(
        [sys.executable, "-c", SMALL_FILES, str(file)],
        capture_output=True, text=True, check=False, timeout=DEADLINE_SECONDS, env={**os.environ, "PYTHONPATH": "."},
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stderr
    acknowledged = int(outcome.stdout.split()[0])
    assert 10 < acknowledged < 1_000

    store = SQLiteStore(file, clock=ManualClock())
    await store.open()
    events, runs = await store.events(1, None, 10_000), await SQLite(file).dump(store, Run)

    assert len(events) == acknowledged
    assert {run.event_id for run in runs} == {event.id for event in events}
    assert (await asked(store, "PRAGMA integrity_check")) == [("ok",)]
    await store.close()


async def test_a_transaction_that_work_left_open_does_not_fail_what_comes_after(store: SQLiteStore) -> None:
    def careless(database: sqlite3.Connection) -> None:
        database.execute("BEGIN IMMEDIATE")
        database.execute("DELETE FROM runs")
        raise sqlite3.OperationalError("disk I/O error")

    await store.write(changes_of(a_run()))
    assert store._writer is not None
    with pytest.raises(StoreError, match="disk I/O error"):
        await store._writer.ask(careless)

    await store.write(changes_of(a_run(id="run_2", event_id="evt_2")))

    assert len(await SQLite(store._path).dump(store, Run)) == 2
    assert await pragma(store, "synchronous") == 2


async def test_an_answer_nobody_waits_for_harms_nobody(store: SQLiteStore) -> None:
    writing = asyncio.ensure_future(store.write(changes_of(a_run())))
    await asyncio.sleep(0)
    writing.cancel()

    await store.write(changes_of(an_event()))

    assert await store.run(1, "run_1") == a_run()


# --- space


async def test_the_file_shrinks_when_much_of_it_was_pruned(file: Path, store: SQLiteStore) -> None:
    from tests.storage.contract_pruning import DAY, EVERYTHING, event_of, run_of

    await store.add_environment("dev", "development", 0)
    events = [event_of(n * DAY, payload='"' + "x" * 50_000 + '"') for n in range(1, 101)]
    runs = [run_of(event, ended_ago=DAY // 2, output='"' + "y" * 50_000 + '"') for event in events]
    await store.write(changes_of(*events, *runs))
    await asked(store, "PRAGMA wal_checkpoint(TRUNCATE)")
    size = file.stat().st_size
    assert size > 10_000_000

    while await store.prune(EVERYTHING, 30):
        pass
    await asked(store, "PRAGMA wal_checkpoint(TRUNCATE)")

    assert file.stat().st_size < size / 10


async def test_a_little_free_space_is_kept_for_what_comes(store: SQLiteStore) -> None:
    from tests.storage.contract_pruning import DAY, EVERYTHING, event_of

    await store.add_environment("dev", "development", 0)
    kept = [an_event(id=f"evt_{n}", payload='"' + "x" * 50_000 + '"') for n in range(50)]
    old = event_of(9 * DAY, payload='"' + "x" * 50_000 + '"')
    await store.write(changes_of(*kept, old))
    pages = await pragma(store, "page_count")

    await store.prune(EVERYTHING, 30)

    assert await pragma(store, "page_count") == pages
    assert await pragma(store, "freelist_count") != 0
