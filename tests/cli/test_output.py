"""How tables are drawn, and what is said about errors."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Zt, ended_run
from tests.cli.processes import Dev, environment, on_terminal, without_colours
from tests.cli.processes import zt as zt_process
from zopio_trigger.cli.output import Cell, cells, padded, shortened
from zopio_trigger.cli.wording import sign


def test_a_terminal_gets_a_table_with_titles_and_colours(server: Dev, zt: Zt) -> None:
    run = ended_run(zt)

    shown = on_terminal("runs", "list", "--limit", "1", folder=server.folder, url=server.url).out

    assert "\x1b[32mcompleted" in shown
    titles, row = [line for line in without_colours(shown).splitlines() if line.strip()][:2]
    assert titles.split() == ["STATUS", "RUN", "JOB", "TRIGGER", "STARTED", "TOOK"]
    assert row.startswith(f"completed  {run['id']}  greet  hello.said  ")
    assert titles.index("JOB") == row.index("greet")


def test_no_color_is_honoured(server: Dev) -> None:
    plain = on_terminal("runs", "list", folder=server.folder, url=server.url, NO_COLOR="1")

    assert "STATUS" in plain.out
    assert "\x1b" not in plain.out


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_a_narrow_terminal_gets_narrow_lines(server: Dev, zt: Zt, columns: int) -> None:
    ended_run(zt)

    shown = on_terminal("runs", "list", "--limit", "3", folder=server.folder, url=server.url, columns=columns)

    lines = without_colours(shown.out).splitlines()
    assert lines[0].startswith("STATUS")
    assert max(map(len, lines[:4])) <= max(columns, 63)  # status, started and took are never cut


def test_of_an_id_that_is_cut_the_end_is_kept() -> None:
    assert shortened("run_01M85B9F8JN9YAEG9DFW1MG23N", 16) == "run_01M8…W1MG23N"
    assert shortened("user.created", 8) == "user.cr…"
    assert shortened("user.created", 12) == "user.created"


def test_wide_characters_take_two_cells() -> None:
    assert cells("naïve") == 5
    assert cells("日本") == 4
    assert padded("日本", 6) == "日本  "
    assert cells(shortened("日本語の名前", 5)) <= 5


def test_a_value_with_a_tab_stays_one_column(zt: Zt) -> None:
    assert Cell("a").raw == "a"
    assert zt("send", "a\tb").exit_code == 2  # names have no control characters to begin with


def test_every_state_has_a_sign() -> None:
    from zopio_trigger.model.states import RUN_STATES

    assert len({sign(state) for state in RUN_STATES}) == len(RUN_STATES)


# --- errors


def test_a_server_that_is_not_there_is_said_with_what_to_do(alone: Zt) -> None:
    unreachable = alone("runs", "list", "--url", "http://127.0.0.1:9")

    assert unreachable.exit_code == 5
    assert unreachable.stdout == ""
    assert unreachable.stderr == (
        "error: cannot reach http://127.0.0.1:9 (connection refused). "
        'Is "zopio-trigger dev app.py" running?\n'
    )


def test_a_wrong_key_is_not_authorised(zt: Zt) -> None:
    refused = zt("runs", "list", "--api-key", "tr_dev_wrong")

    assert refused.exit_code == 4
    assert "TRIGGER_API_KEY" in refused.stderr


def test_a_key_is_not_sent_to_a_host_nobody_named(alone: Zt) -> None:
    refused = alone("runs", "list", "--api-key", "tr_prod_secret")

    assert refused.exit_code == 2
    assert "TRIGGER_API_URL" in refused.stderr


def test_an_unknown_command_is_told_with_the_nearest(alone: Zt) -> None:
    unknown = alone("sned", "user.created")

    assert unknown.exit_code == 2
    assert "no command 'sned'; did you mean 'send'?" in unknown.stderr


def test_tracebacks_are_shown_only_when_asked_for(alone: Zt) -> None:
    plain = alone("runs", "list", "--url", "http://127.0.0.1:9")
    asked = alone("runs", "list", "--url", "http://127.0.0.1:9", "--debug")

    assert "Traceback" not in plain.stderr
    assert "ConnectionRefusedError" in asked.stderr
    assert asked.exit_code == 5


def test_quiet_leaves_data_and_errors(zt: Zt, alone: Zt) -> None:
    quiet = zt("send", "helo.said", "--quiet")
    assert quiet.stdout.startswith("event\t")
    assert quiet.stderr == ""

    assert "cannot reach" in alone("runs", "list", "--quiet", "--url", "http://127.0.0.1:9").stderr
    assert (
        alone("send", "--", "--quiet", "{", "--debug").exit_code == 2
    )  # after -- they are words like others


def test_whoever_has_read_enough_may_go(server: Dev, zt: Zt, tmp_path: Path) -> None:
    for _ in range(3):
        ended_run(zt)
    command = shlex.join([sys.executable, "-m", "zopio_trigger", "runs", "list"])

    piped = subprocess.run(
        f"{command} | head -n 0; sleep 0.5; {command} | head -n 1", shell=True, cwd=tmp_path,
        env=environment(TRIGGER_API_URL=server.url), capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert piped.stdout.count("\n") == 1
    assert piped.stderr == ""


def test_a_server_of_another_kind_is_recognised(alone: Zt) -> None:
    import threading
    from http.server import HTTPServer, SimpleHTTPRequestHandler

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Quiet) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        answered = alone("runs", "list", "--url", f"http://127.0.0.1:{other.server_port}")
        other.shutdown()

    assert answered.exit_code == 5
    assert "is no zopio-trigger server" in answered.stderr


# --- which platform


def test_pyproject_names_the_server_when_nothing_else_does(server: Dev, alone: Zt) -> None:
    Path("pyproject.toml").write_text(f'[tool.zopio-trigger]\nurl = "{server.url}"\n')
    inside = Path("a/b")
    inside.mkdir(parents=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(inside)
        assert alone("jobs", "list").exit_code == 0
        assert alone("jobs", "list", TRIGGER_API_URL="http://127.0.0.1:9").exit_code == 5


def test_a_setting_that_does_not_exist_is_refused(alone: Zt) -> None:
    Path("pyproject.toml").write_text('[tool.zopio-trigger]\nurrl = "http://127.0.0.1:1"\n')

    refused = alone("jobs", "list")

    assert refused.exit_code == 2
    assert "it takes texts called api-key, url" in refused.stderr


def test_a_store_without_a_server_is_opened_by_the_command(tmp_path: Path, alone: Zt) -> None:
    Path("app.py").write_text(
        "from zopio_trigger import client\n"
        '@client.job(id="greet", trigger=client.triggers.event(name="hello.said"))\n'
        "async def greet(payload, io): ...\n"
    )
    with Dev(tmp_path, "--no-reload") as dev:
        sent = zt_process("send", "hello.said", "--wait", folder=tmp_path, url=dev.url)
        in_use = alone("runs", "list", "--store", ".zopio/dev.db")
        assert dev.stop() == 0
    assert sent.code == 0
    assert in_use.exit_code == 6
    assert "is in use by process" in in_use.stderr

    listed = json.loads(alone("runs", "list", "--store", ".zopio/dev.db", "--json").stdout)
    assert [run["status"] for run in listed["runs"]] == ["completed"]
    assert alone("runs", "get", listed["runs"][0]["id"], "--store", ".zopio/dev.db").exit_code == 0
    assert alone("jobs", "list", "--store", ".zopio/dev.db").stdout.split("\t")[4] == "no"
    assert alone("send", "hello.said", "--store", ".zopio/dev.db").exit_code == 0
    assert alone("send", "hello.said", "--store", ".zopio/dev.db", "--wait").exit_code == 6
    assert alone("runs", "tail", "--store", ".zopio/dev.db").exit_code == 6
    assert alone("runs", "list", "--store", "other.db").exit_code == 3
    assert not Path("other.db").exists()


# --- small commands


def test_version_completion_and_help(alone: Zt) -> None:
    assert alone("version").stdout.startswith("zopio-trigger ")
    assert alone("--version").stdout.startswith("zopio-trigger ")
    for shell in ("bash", "zsh", "fish"):
        script = alone("completion", shell).stdout
        assert "_ZOPIO_TRIGGER_COMPLETE" in script
        assert "_ZT_COMPLETE" in script
    assert alone("completion", "csh").exit_code == 2
    help = alone("--help").stdout
    for name in ("init", "dev", "send", "runs", "jobs", "schedules", "doctor", "version", "completion"):
        assert f"  {name} " in help
        assert alone(name, "--help").exit_code == 0


def test_init_never_overwrites(alone: Zt) -> None:
    Path("app.py").write_text("mine")

    refused = alone("init")

    assert refused.exit_code == 6
    assert "exists and is left alone" in refused.stderr
    assert Path("app.py").read_text() == "mine"
    assert not Path(".env.example").exists()


def test_doctor_finds_what_is_wrong(server: Dev, zt: Zt, alone: Zt) -> None:
    well = zt("doctor")
    assert well.exit_code == 0
    assert f"✓ server      {server.url} answers" in well.stdout
    assert "✓ clock       agrees with the server's" in well.stdout
    assert "4 of 4 jobs are served" in well.stdout

    ill = alone("doctor", "--json", TRIGGER_API_KEY="nonsense", TRIGGER_STORE="mysql://x")
    findings = {finding["what"]: finding for finding in json.loads(ill.stdout)["findings"]}
    assert ill.exit_code == 1
    assert findings["key"]["verdict"] == "fault"
    assert findings["store"]["verdict"] == "fault"
    assert findings["store"]["fix"]

    unserved = alone("doctor", "--url", "http://127.0.0.1:9")
    assert unserved.exit_code == 0
    assert "! server" in unserved.stdout
