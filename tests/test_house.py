"""The shape of the code base: imports go down the layers, and `import zopio_trigger` stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "zopio_trigger"

# What each layer may import. A layer may always import itself.
BELOW: dict[str, set[str]] = {
    "errors": set(),
    "model": {"errors"},
    "config": {"model", "errors"},
    "engine": {"model", "errors"},
    "storage": {"engine", "model", "errors"},
    "transport": {"model", "errors", "config"},
    "platform": {"storage", "transport", "engine", "model", "errors", "config"},
    "sdk": {"transport", "model", "errors", "config"},
    "worker": {"sdk", "transport", "model", "errors", "config"},
    "server": {"platform", "transport", "model", "errors", "config"},
    "composition": {
        "server", "worker", "platform", "storage", "sdk", "transport", "engine", "model", "errors", "config",
    },
    "testing": {
        "composition", "worker", "platform", "storage", "sdk", "transport", "engine", "model", "errors", "config",
    },
    "cli": {"composition", "server", "sdk", "transport", "model", "errors", "config"},
}  # fmt: skip

# Chance and time come in from outside; these two modules are where they come from.
SOURCES_OF_TIME_AND_CHANCE = {"model/clock.py", "model/ids.py"}
BANNED_CALLS = {
    "time.time", "time.time_ns", "time.monotonic", "datetime.now", "datetime.utcnow", "uuid4", "uuid.uuid4",
    "asyncio.sleep", "time.sleep", "random.random", "random.randint", "random.choice", "secrets.token_hex",
}  # fmt: skip


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def layer_of(dotted: str) -> str:
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 else ""


def imports_of(path: Path) -> list[str]:
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
    return [name for name in found if name.startswith("zopio_trigger.")]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_down_the_layers(path: Path) -> None:
    own = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if own in {"__init__", "__main__"}:
        return
    upward = {name for name in imports_of(path) if layer_of(name) not in BELOW[own] | {own}}
    assert not upward, f"{own} must not import {upward}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_time_and_chance_come_in_from_outside(path: Path) -> None:
    if str(path.relative_to(SOURCE)) in SOURCES_OF_TIME_AND_CHANCE:
        return
    calls = {
        ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
    }
    assert not calls & BANNED_CALLS


def test_importing_the_package_loads_neither_server_nor_sql() -> None:
    heavy = "('sqlite3', 'starlette', 'uvicorn', 'click', 'rich', 'pydantic', 'watchfiles', 'cronsim')"
    own = "('platform', 'storage', 'server', 'engine', 'cli', 'worker', 'testing')"
    program = (
        "import sys, zopio_trigger\n"
        f"loaded = [m for m in {heavy} if m in sys.modules]\n"
        f"loaded += [m for m in {own} if 'zopio_trigger.' + m in sys.modules]\n"
        "sys.exit(' '.join(loaded) or 0)"
    )

    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert outcome.returncode == 0, outcome.stderr
