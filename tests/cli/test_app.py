"""Importing the user's app, and importing it again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from zopio_trigger.cli.app import App, AppBroken
from zopio_trigger.errors import ConfigurationError
from zopio_trigger.sdk.default import client as default_client

JOB = """
    from zopio_trigger import client

    @client.job(id="{id}", trigger=client.triggers.event(name="hello.said"))
    async def greet(payload, io):
        return {output!r}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder the app is in; what it imports is forgotten afterwards."""
    before, path = dict(sys.modules), list(sys.path)
    monkeypatch.setattr(default_client, "jobs", {})
    yield tmp_path
    for name in set(sys.modules) - set(before):
        del sys.modules[name]
    sys.path[:] = path


def write(file: Path, code: str, **words: object) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dedent(code).format(**words) if words else dedent(code))
    return file


def test_a_file_is_imported_with_the_jobs_of_the_default_client(folder: Path) -> None:
    write(folder / "my_app.py", JOB, id="greet", output=1)

    loaded = App("my_app.py", folder).load()

    assert list(loaded.jobs) == ["greet"]
    assert loaded.clients == (default_client,)


def test_a_module_in_packages_is_found_by_its_file_or_by_its_name(folder: Path) -> None:
    write(folder / "shop" / "__init__.py", "")
    write(folder / "shop" / "jobs" / "__init__.py", "")
    write(folder / "shop" / "jobs" / "mail.py", JOB, id="mail", output=1)

    by_file = App("shop/jobs/mail.py", folder)
    by_name = App("shop.jobs.mail", folder)

    assert by_file.folder == folder
    assert list(by_file.load().jobs) == list(by_name.load().jobs) == ["mail"]


def test_clients_in_modules_that_the_app_imports_are_found(folder: Path) -> None:
    write(folder / "trigger.py", 'from zopio_trigger import TriggerClient\nshop = TriggerClient("shop")')
    write(folder / "orders.py", JOB.replace("zopio_trigger import client", "trigger import shop as client"),
          id="order", output=1)  # fmt: skip
    write(folder / "my_app.py", "import orders\n" + dedent(JOB).format(id="greet", output=1))

    loaded = App("my_app.py", folder).load()

    assert set(loaded.jobs) == {"greet", "order"}
    assert {client.id for client in loaded.clients} == {"zopio-trigger", "shop"}


def test_a_client_can_be_chosen_by_name(folder: Path) -> None:
    code = """
        from zopio_trigger import TriggerClient
        one, two = TriggerClient("one"), TriggerClient("two")

        for client in (one, two):
            client.define_job(id=client.id, trigger=client.triggers.invoke(), run=lambda payload, io: None)
    """
    write(folder / "my_app.py", code)

    assert list(App("my_app.py:two", folder).load().jobs) == ["two"]
    with pytest.raises(AppBroken, match="has no client 'three'; it has one, two, client"):
        App("my_app.py:three", folder).load()


def test_loading_again_takes_the_new_code_of_all_modules(folder: Path) -> None:
    write(folder / "words.py", "WORD = 'before'")
    app = write(folder / "my_app.py", "import words\n" + dedent(JOB).format(id="greet", output=1))
    loader = App("my_app.py", folder)
    before = loader.load()

    write(folder / "words.py", "WORD = 'after'")
    app.write_text(app.read_text().replace('id="greet"', 'id="greet-" + words.WORD'))
    after = loader.load({app, folder / "words.py"})

    assert list(before.jobs) == ["greet"]
    assert list(after.jobs) == ["greet-after"]


def test_an_edit_of_the_same_length_in_the_same_second_is_seen(folder: Path) -> None:
    app = write(folder / "my_app.py", JOB, id="greet-1", output=1)
    loader = App("my_app.py", folder)
    for number in range(2, 6):
        loader.load()
        app.write_text(app.read_text().replace(f"greet-{number - 1}", f"greet-{number}"))

        assert list(loader.load().jobs) == [f"greet-{number}"]


def test_a_broken_new_version_leaves_the_old_one_in_place(folder: Path) -> None:
    app = write(folder / "my_app.py", JOB, id="greet", output=1)
    loader = App("my_app.py", folder)
    loader.load()
    module = sys.modules["my_app"]

    app.write_text(app.read_text() + "\n1 / 0")
    with pytest.raises(AppBroken, match=r"my_app\.py could not be imported: ZeroDivisionError") as broken:
        loader.load()

    assert sys.modules["my_app"] is module
    assert list(default_client.jobs) == ["greet"]
    assert "1 / 0" in broken.value.details
    assert "importlib" not in broken.value.details


def test_an_app_that_ends_the_process_is_broken_and_does_not(folder: Path) -> None:
    write(folder / "my_app.py", "import sys; sys.exit('no arguments')")

    with pytest.raises(AppBroken, match="no arguments"):
        App("my_app.py", folder).load()


def test_a_mistake_in_a_definition_is_shown_where_it_stands(folder: Path) -> None:
    write(
        folder / "my_app.py",
        JOB.replace("async def greet(payload, io)", "async def greet()"),
        id="a",
        output=1,
    )

    with pytest.raises(AppBroken, match="called with \\(payload, io\\)") as broken:
        App("my_app.py", folder).load()

    assert 'my_app.py", line 4, in <module>' in broken.value.details


def test_an_app_without_jobs_is_told_how_one_looks(folder: Path) -> None:
    write(folder / "my_app.py", "x = 1")

    with pytest.raises(AppBroken, match=r"(?s)my_app.py defines no jobs.*@client\.job"):
        App("my_app.py", folder).load()


def test_names_that_cannot_be_imported_are_refused(folder: Path) -> None:
    write(folder / "my-app.py", "")
    write(folder / "types.py", "")

    with pytest.raises(ConfigurationError, match=r"no name of a Python module; call it my_app\.py"):
        App("my-app.py", folder)
    with pytest.raises(ConfigurationError, match="the name of a module of Python itself"):
        App("types.py", folder)
    with pytest.raises(ConfigurationError, match=r"there is no file my_ap\.py; did you mean my-app\.py\?"):
        App("my_ap.py", folder)
    with pytest.raises(ConfigurationError, match=r"there is no module 'shop\.jobs'"):
        App("shop.jobs", folder).load()


def test_libraries_below_the_folder_are_not_the_users(folder: Path) -> None:
    library = write(folder / "site-packages" / "a_library.py", "")
    app = write(folder / "my_app.py", "import a_library\n" + dedent(JOB).format(id="greet", output=1))
    sys.path.insert(0, str(library.parent))
    loader = App("my_app.py", folder)
    loader.load()
    imported = sys.modules["a_library"]

    loader.load({app})

    assert sys.modules["a_library"] is imported
    assert set(loader.modules()) == {"my_app"}
