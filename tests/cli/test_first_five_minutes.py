"""What a newcomer does in the first five minutes, with real processes: from `init` to a kill in the middle of a
wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.processes import Dev, edit, on_terminal, run_ids, without_colours, zt

EVENT = '{"userId":"user_123","email":"ada@example.com"}'
WORKS = 'print(f"to {to}: {text}")'
FAILS = 'raise RuntimeError("mail server down")'
RENDERS = 'text = await io.run_task("render-email", render_email, payload["userId"])'

pytestmark = pytest.mark.slow


def test_from_init_to_a_retry(tmp_path: Path) -> None:
    created = zt("init", "hello", folder=tmp_path)
    assert created.out == "created app.py, .env.example\nnext: cd hello && zopio-trigger dev app.py\n"
    folder = tmp_path / "hello"
    app = folder / "app.py"

    with Dev(folder) as dev:
        url = dev.url
        assert "key tr_dev_local (development only)" in dev.text
        assert "sqlite .zopio/dev.db (kept between restarts)" in dev.text
        assert "send-welcome-email (event user.created)" in dev.text
        assert "heartbeat (every fifth minute of every hour, next " in dev.text

        # An event starts a run, and the server tells what happens in it.
        sent = zt("send", "user.created", EVENT, folder=folder, url=url)
        assert sent.code == 0
        (run_id,) = run_ids(sent.out)
        dev.says(rf"▸ {run_id} send-welcome-email   queued by user\.created")
        dev.says(r"│ INFO  Sending welcome email  userId=user_123")
        dev.says(r"│ ✓ send-email  \S+ ms")
        dev.says(rf"✓ {run_id} send-welcome-email   completed in \d+ ms")
        listed = zt("runs", "list", folder=folder, url=url)
        assert listed.out.split("\t")[:4] == ["completed", run_id, "send-welcome-email", "user.created"]

        # Broken code: the retries run out, and the exit code says so.
        edit(app, WORKS, FAILS)
        dev.says(r"↻ app\.py changed, 2 jobs reloaded in ")
        failed = on_terminal("send", "user.created", EVENT, "--wait", folder=folder, url=url)
        assert failed.code == 1
        shown = without_colours(failed.out)
        failed_id = run_ids(shown)[0]
        assert f"✕ {failed_id} send-welcome-email  failed in " in shown
        assert "RuntimeError: mail server down (task send-email, 3 attempts)" in shown
        assert "  app.py:22 in send_email" in shown

        # Repaired code: the run goes on where it failed.
        edit(app, FAILS, WORKS)
        dev.says(r"↻ app\.py changed", times=2)
        retried = on_terminal("runs", "retry", failed_id, folder=folder, url=url)
        assert retried.code == 0
        assert "(1 task from cache, 1 run)" in without_colours(retried.out)
        assert dev.stop() == 0


def test_a_run_survives_a_kill_in_the_middle_of_a_wait(tmp_path: Path) -> None:
    zt("init", ".", folder=tmp_path)
    edit(tmp_path / "app.py", RENDERS, f'{RENDERS}\n    await io.wait("a-moment", seconds=3)')
    edit(tmp_path / "app.py", 'return f"Welcome, {user_id}!"', 'print("rendered")\n    return "Welcome!"')

    with Dev(tmp_path) as dev:
        sent = zt("send", "user.created", EVENT, folder=tmp_path, url=dev.url)
        dev.says(r"⏾ run_\w+ send-welcome-email   waiting: sleeping until")
        first_half = dev.text
        dev.kill()
    with Dev(tmp_path) as dev:
        dev.says(r"waiting +1 run waiting, next at \d\d:\d\d:\d\d")
        ended = zt("runs", "tail", *run_ids(sent.out), folder=tmp_path, url=dev.url)

        assert ended.code == 0
        dev.says(r"✓ a-moment  waited ")
        dev.says(r"✓ run_\w+ send-welcome-email   completed in ")
        assert first_half.count("rendered") == 1
        assert "rendered" not in dev.text
        assert dev.text.count("to ada@example.com: Welcome!") == 1
