"""`python -m zopio_trigger` is `zopio-trigger`."""

from zopio_trigger.cli.main import main

if __name__ == "__main__":
    main(prog_name="zopio-trigger")
