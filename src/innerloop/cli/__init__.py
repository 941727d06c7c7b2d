"""The command line: `innerloop demo`, `innerloop learn`, `innerloop show`."""

from innerloop.cli.entry import main as main
