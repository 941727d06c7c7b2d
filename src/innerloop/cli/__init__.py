"""The command line: `innerloop demo`, `innerloop learn`, `innerloop show`, `innerloop train`."""

from innerloop.cli.entry import main as main
