"""`zopio-trigger dev` as a process: what it says, what it does when code changes, and how it ends."""

from __future__ import annotations

import select
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path
from textwrap import dedent

import pytest

from tests.cli.processes import PATIENCE, Dev, edit, running, zt

pytestmark = pytest.mark.slow

GREETER = """
    import asyncio, time
    from zopio_trigger import client

    @client.job(id="greet", trigger=client.triggers.event(name="hello.said"))
    async def greet(payload, io):
        await io.run_task("say", say, payload.get("seconds", 0))
        return "hello"

    async def say(seconds):
        print("saying")
        await asyncio.sleep(seconds)
        print("said")
"""


def write(folder: Path, code: str, name: str = "app.py") -> None:
    folder.joinpath(name).write_text(dedent(code))


def send(dev: Dev, folder: Path, payload: str = "{}", *words: str) -> None:
    assert zt("send", "hello.said", payload, *words, folder=folder, url=dev.url).code == 0


# --- changing code


def test_modules_below_the_app_are_reloaded_too(tmp_path: Path) -> None:
    write(tmp_path, 'WORD = "before"', "words.py")
    write(tmp_path, GREETER.replace('return "hello"', "import words; return words.WORD"))
    with Dev(tmp_path) as dev:
        assert dev.url

        edit(tmp_path / "words.py", "before", "after")
        dev.says(r"↻ words\.py changed, 1 job reloaded in ")
        answer = zt("send", "hello.said", "--wait", "--json", folder=tmp_path, url=dev.url)

        assert '"output":"after"' in answer.out


def test_a_broken_save_is_told_and_the_old_code_goes_on(tmp_path: Path) -> None:
    write(tmp_path, GREETER)
    with Dev(tmp_path) as dev:
        assert dev.url

        edit(tmp_path / "app.py", "import asyncio, time", "import asyncio, json\njson.loads('{')")
        dev.says("waiting for the next save")
        assert "error: app.py could not be imported: json.decoder.JSONDecodeError" in dev.text
        assert 'app.py", line 3, in <module>' in dev.text
        assert "json/decoder.py" not in dev.text
        send(dev, tmp_path)
        dev.says(r"✓ run_\w+ greet   completed in ")

        edit(tmp_path / "app.py", "\njson.loads('{')", "")
        dev.says(r"↻ app\.py changed, 1 job reloaded in ")


def test_it_waits_for_a_save_when_the_app_is_broken_from_the_start(tmp_path: Path) -> None:
    write(tmp_path, "import nothing_of_this_name")
    with Dev(tmp_path) as dev:
        dev.says("No module named 'nothing_of_this_name'")
        assert dev.url

        write(tmp_path, GREETER)
        dev.says(r"↻ app\.py changed, 1 job reloaded in ")
        send(dev, tmp_path)
        dev.says(r"✓ run_\w+ greet   completed in ")
        assert dev.stop() == 0


def test_a_run_that_waits_goes_on_in_the_new_code(tmp_path: Path) -> None:
    write(
        tmp_path, GREETER.replace('return "hello"', 'await io.wait("pause", seconds=2)\n        return "old"')
    )
    with Dev(tmp_path) as dev:
        send(dev, tmp_path)
        dev.says("sleeping until")

        edit(tmp_path / "app.py", "old", "new")
        dev.says(r"↻ app\.py changed")
        dev.says(r"✓ run_\w+ greet   completed in ")

        listed = zt("runs", "list", "--jsonl", folder=tmp_path, url=dev.url)
        run_id = listed.out.partition('"id":"')[2].partition('"')[0]
        assert '"output":"new"' in zt("runs", "get", run_id, "--json", folder=tmp_path, url=dev.url).out
        assert dev.text.count("saying") == 1


def test_a_command_that_waits_outlives_a_restart_of_the_server(tmp_path: Path) -> None:
    write(tmp_path, GREETER.replace('return "hello"', 'await io.wait("pause", seconds=3)'))
    with (
        Dev(tmp_path) as dev,
        running("send", "hello.said", "--wait", folder=tmp_path, url=dev.url) as waiting,
    ):
        dev.says("sleeping until")
        dev.kill()
        with Dev(tmp_path, "--port", dev.url.rpartition(":")[2]):
            out, err = waiting.communicate(timeout=PATIENCE)

    assert waiting.returncode == 0, err
    assert out.endswith("\tgreet\tcompleted\n")
    assert "the connection was lost; trying again" in err


def test_ctrl_c_ends_a_command_that_follows(tmp_path: Path) -> None:
    write(tmp_path, GREETER)
    with Dev(tmp_path) as dev, running("runs", "tail", folder=tmp_path, url=dev.url) as following:
        assert following.stdout is not None
        while not select.select([following.stdout], [], [], 0.2)[0]:  # it does not say when it has begun
            send(dev, tmp_path)
        following.send_signal(signal.SIGINT)
        out, err = following.communicate(timeout=PATIENCE)

    assert following.returncode == 130
    assert "queued by hello.said" in out
    assert err == "\ninterrupted\n"


def test_a_job_that_is_renamed_is_told_to_listen_still(tmp_path: Path) -> None:
    write(tmp_path, GREETER)
    with Dev(tmp_path) as dev:
        assert dev.url

        edit(tmp_path / "app.py", 'id="greet"', 'id="welcome"')

        dev.says(r"note: app\.py has no job greet any more; its runs wait until some code has it again")
        waiting = zt("send", "hello.said", "--wait", "--timeout", "1s", folder=tmp_path, url=dev.url)
        assert waiting.code == 7
        assert "no worker serves job `greet`" in waiting.err


# --- ending


def test_ctrl_c_lets_running_tasks_finish(tmp_path: Path) -> None:
    write(tmp_path, GREETER)
    with Dev(tmp_path) as dev:
        send(dev, tmp_path, '{"seconds": 1.5}')
        dev.says("saying")

        dev.send_signal(signal.SIGTERM)
        dev.says("finishing 1 run, press again to stop now")

        assert dev.code() == 0
        assert "said" in dev.text
        dev.says(r"✓ run_\w+ greet   completed in ")
        assert dev.text.endswith("stopped")


def test_a_second_ctrl_c_stops_at_once_and_the_run_goes_on_at_the_next_start(tmp_path: Path) -> None:
    write(tmp_path, GREETER)
    with Dev(tmp_path) as dev:
        send(dev, tmp_path, '{"seconds": 60}')
        dev.says("saying")
        dev.send_signal(signal.SIGINT)
        dev.says("finishing 1 run")
        dev.send_signal(signal.SIGINT)
        assert dev.code() == 130

    edit(tmp_path / "app.py", "await asyncio.sleep(seconds)", "pass")
    with Dev(tmp_path) as dev:
        dev.says(r"✓ run_\w+ greet   completed in ")


def test_ctrl_c_twice_ends_it_even_while_user_code_blocks_the_loop(tmp_path: Path) -> None:
    write(tmp_path, GREETER.replace("await asyncio.sleep(seconds)", "time.sleep(seconds)"))
    with Dev(tmp_path) as dev:
        send(dev, tmp_path, '{"seconds": 60}')
        dev.says(
            r"the event loop has been blocked for \d\.\d s by \S*app\.py:\d+ in say \(time\.sleep\(seconds\)\)"
        )

        dev.send_signal(signal.SIGINT)
        dev.says("finishing 1 run, press again to stop now")
        dev.send_signal(signal.SIGINT)

        assert dev.code() == 130


def test_runs_that_do_not_finish_in_time_are_handed_back(tmp_path: Path) -> None:
    write(tmp_path, GREETER)
    with Dev(tmp_path, "--drain-timeout", "1s") as dev:
        send(dev, tmp_path, '{"seconds": 60}')
        dev.says("saying")

        assert dev.stop() == 0

        dev.says("1 run did not finish in 1 s and will go on at the next start")
    assert "queued" in zt("runs", "list", "--store", ".zopio/dev.db", folder=tmp_path).out


# --- what it refuses


def test_a_taken_port_is_said_with_a_way_out(tmp_path: Path) -> None:
    write(tmp_path, GREETER)
    other = tmp_path / "other"
    other.mkdir()
    write(other, GREETER)
    with Dev(tmp_path) as dev:
        port = dev.url.rpartition(":")[2]

        refused = zt("dev", "app.py", "--port", port, folder=other)

        assert refused.code == 6
        assert f"port {port} on 127.0.0.1 is in use" in refused.err
        assert "--port" in refused.err


def test_a_second_dev_on_the_same_store_names_the_first(tmp_path: Path) -> None:
    write(tmp_path, GREETER)
    with Dev(tmp_path) as dev:
        assert dev.url

        refused = zt("dev", "app.py", "--port", "0", folder=tmp_path)

        assert refused.code == 6
        assert f"dev.db is in use by process {dev.pid}" in refused.err


def test_other_machines_are_let_in_only_with_a_key_of_ones_own(tmp_path: Path) -> None:
    write(tmp_path, GREETER)

    refused = zt("dev", "app.py", "--host", "0.0.0.0", folder=tmp_path)
    assert refused.code == 2
    assert "set TRIGGER_API_KEY" in refused.err

    with Dev(tmp_path, "--host", "0.0.0.0", TRIGGER_API_KEY="tr_dev_3RmUzCjWqBvXnKpL") as dev:
        url = dev.url.replace("0.0.0.0", "127.0.0.1")
        assert "3RmUzCjWqBvXnKpL" not in dev.text
        assert zt("jobs", "list", folder=tmp_path, url=url).code == 4
        allowed = zt("jobs", "list", folder=tmp_path, url=url, TRIGGER_API_KEY="tr_dev_3RmUzCjWqBvXnKpL")
        assert allowed.out.startswith("greet\t")


def test_an_app_that_cannot_be_run_ends_it_when_nothing_is_watched(tmp_path: Path) -> None:
    write(tmp_path, "import nothing_of_this_name")
    broken = zt("dev", "app.py", "--no-reload", "--port", "0", folder=tmp_path)
    assert broken.code == 1
    assert "No module named 'nothing_of_this_name'" in broken.out

    write(tmp_path, "x = 1")
    empty = zt("dev", "app.py", "--no-reload", "--port", "0", folder=tmp_path)
    assert empty.code == 1
    assert "app.py defines no jobs" in empty.out
    assert "@client.job" in empty.out

    missing = zt("dev", "ap.py", folder=tmp_path)
    assert missing.code == 2
    assert "there is no file ap.py; did you mean app.py?" in missing.err


def test_only_this_machine_is_answered(tmp_path: Path) -> None:
    write(tmp_path, GREETER)
    with Dev(tmp_path) as dev:
        request = urllib.request.Request(dev.url, headers={"Host": "evil.example"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=5)
        refused.value.close()
        assert refused.value.code == 403


# --- at rest


def test_it_costs_next_to_nothing_at_rest(tmp_path: Path) -> None:
    write(tmp_path, GREETER)
    with Dev(tmp_path) as dev:
        assert dev.url
        send(dev, tmp_path)
        dev.says("completed in ")

        before = cpu_ticks(dev.pid)
        time.sleep(5)  # there is nothing to wait for: nothing is to happen

        assert cpu_ticks(dev.pid) - before <= 5  # 1 %


def cpu_ticks(pid: int) -> int:
    """Hundredths of a second of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[11]) + int(fields[12])
