"""The command line: `innerloop demo`, `learn`, `reproduce`, `show` and `train`."""

from innerloop.cli.entry import main as main
