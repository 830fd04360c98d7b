"""`zopio-trigger init`: a small app to begin with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from zopio_trigger.cli.outcome import REFUSED, Failure

# File to write -> the template in this package.
FILES: Final = {"app.py": "app.py.txt", ".env.example": "env.example.txt"}


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option("--yes", "-y", is_flag=True, help="Ask nothing.")
def init(folder: Path, yes: bool) -> None:
    """Write app.py and .env.example into DIR (default: here). Existing files are never overwritten."""
    existing = [name for name in FILES if (folder / name).exists()]
    if "app.py" in existing:
        raise Failure(
            f"{folder / 'app.py'} exists and is left alone; give another folder: zopio-trigger init my-app",
            REFUSED,
        )
    if not yes and sys.stdin.isatty() and _is_in_use(folder):
        click.confirm(f"{folder} is not empty; write app.py beside what is there?", abort=True)
    folder.mkdir(parents=True, exist_ok=True)
    created = [name for name in FILES if name not in existing]
    for name in created:
        _write(folder / name, FILES[name])
    click.echo(f"created {', '.join(created)}")
    move = "" if folder.resolve() == Path.cwd() else f"cd {folder} && "
    click.echo(f"next: {move}zopio-trigger dev app.py")


def _is_in_use(folder: Path) -> bool:
    return folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())


def _write(file: Path, template: str) -> None:
    """Write a new file; one that appeared in the meantime stays as it is."""
    text = (Path(__file__).parent / "templates" / template).read_text("utf-8")
    with file.open("x", encoding="utf-8") as opened:
        opened.write(text)
