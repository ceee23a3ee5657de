"""``python -m gridclear`` is the command line."""

from gridclear.cli import main

main(prog_name="gridclear")
