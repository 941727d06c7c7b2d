"""The command line: `innerloop demo`, `learn`, `reproduce` and `show`."""

from innerloop.cli.entry import main as main
