"""`zopio-trigger completion`: what a shell needs to complete our commands."""

from __future__ import annotations

import click

NAMES = ("zopio-trigger", "zt")


@click.command(
    epilog='For bash add to ~/.bashrc:  eval "$(zopio-trigger completion bash)"  (zsh: ~/.zshrc; fish: '
    "zopio-trigger completion fish | source)"
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell, for `zopio-trigger` and `zt`."""
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script is not None, shell
    for name in NAMES:
        variable = f"_{name.replace('-', '_').upper()}_COMPLETE"
        click.echo(script(ctx.find_root().command, {}, name, variable).source())
