"""`python -m innerloop.cli`: the same as `innerloop`."""

import sys

from innerloop.cli.entry import main

if __name__ == "__main__":
    sys.exit(main())
