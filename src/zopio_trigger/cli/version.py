"""`zopio-trigger version`."""

from __future__ import annotations

import platform

import click

from zopio_trigger import __version__


@click.command()
def version() -> None:
    """Show the version of zopio-trigger, of Python and of the system."""
    click.echo(
        f"zopio-trigger {__version__}  (Python {platform.python_version()}, {platform.system()} {platform.machine()})"
    )
