"""The command line: `zopio-trigger`, short `zt`."""

from __future__ import annotations

import click

from zopio_trigger import __version__


@click.group()
@click.version_option(__version__, prog_name="zopio-trigger")
def main() -> None:
    """Durable background jobs and event-driven workflows for Python."""
