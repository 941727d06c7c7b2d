"""Writes `cli-messages.md`: what the command line answers to input that it cannot use.

    python docs/make_cli_messages.py

Every message is the one that the command printed; a test compares the page with a fresh run.
"""

import contextlib
import io
import os
import shlex
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from innerloop.cli import main

PAGE = Path(__file__).with_name("cli-messages.md")
HEAD = """# What the command line answers to bad input

Each mistake is answered by one line on stderr and exit code 2. This page is written by
`docs/make_cli_messages.py`, which runs every case.
"""


@dataclass(frozen=True)
class Case:
    """A mistake: what is wrong, the arguments, and the contents of `data.csv`.

    Args:
        title: What is wrong.
        arguments: What stands after `innerloop`.
        data: The contents of `data.csv`; None for no such file.
    """

    title: str
    arguments: str
    data: str | None = None


HOUSES = "rooms,area,price\n" + "\n".join(
    f"{rooms},{area},{price}"
    for rooms, area, price in [
        (2, 51, 180),
        (3, 74, 231),
        (3, 80, 260),
        (4, 97, 300),
        (5, 130, 410),
    ]
)
TOWNS = "town,rooms,price\n" + "\n".join(
    ["east,2,180", "west,3,231", "east,3,260", "west,4,300", "north,5,410"]
)
ONE_TOWN = "town,price\n" + "".join(f"east,{200 + k}\n" for k in range(5))
LEARN = "learn data.csv --target price"

CASES = (
    Case("The file does not exist", LEARN),
    Case("The file is empty", LEARN, ""),
    Case("A header and a single row", LEARN, "rooms,area,price\n3,74,231\n"),
    Case("Rows of unequal length", LEARN, HOUSES + "\n6,140\n"),
    Case("The file is not text", LEARN, "\udcff\udcfe"),
    Case("No target", "learn data.csv", HOUSES),
    Case("A target that is not a column", "learn data.csv --target prise", HOUSES),
    Case("The same target twice", f"{LEARN} --target price", HOUSES),
    Case("No column but the target", LEARN, "price\n" + "1\n2\n3\n4\n5\n"),
    Case("Two columns of one name", LEARN, HOUSES.replace("area", "rooms")),
    Case("A word among numbers", LEARN, HOUSES.replace("130", "large")),
    Case(
        "A column of too many words",
        LEARN,
        "name,rooms,price\n" + "".join(f"house {k},{k},{200 + k}\n" for k in range(60)),
    ),
    Case("An empty cell among words", LEARN, TOWNS.replace("north", "")),
    Case("Text beside another target", f"{LEARN} --target town", TOWNS),
    Case("A target of one word", "learn data.csv --target town", ONE_TOWN),
    Case(
        "A target of too many words",
        "learn data.csv --target name",
        "name,price\n" + "".join(f"house {k},{200 + k}\n" for k in range(60)),
    ),
    Case(
        "A loss for numbers, and a target of text",
        "learn data.csv --target town --loss huber",
        TOWNS,
    ),
    Case("A loss for classes, and a target of numbers", f"{LEARN} --loss softmax", HOUSES),
    Case(
        "A loss for counts, and a negative target",
        f"{LEARN} --loss poisson",
        HOUSES.replace("180", "-1"),
    ),
    Case("A category that is not a column", f"{LEARN} --categorical room", HOUSES),
    Case("An empty cell", LEARN, HOUSES.replace("97", "")),
    Case("A cell that says NaN", LEARN, HOUSES.replace("97", "NaN")),
    Case("An infinite cell", LEARN, HOUSES.replace("97", "inf")),
    Case("A constant target", LEARN, "rooms,price\n" + "".join(f"{k},200\n" for k in range(5))),
    Case(
        "Constant covariates", LEARN, "rooms,price\n" + "".join(f"3,{200 + k}\n" for k in range(5))
    ),
    Case("A model that there is not", f"{LEARN} --model cnn:3", HOUSES),
    Case("A hidden layer without units", f"{LEARN} --model mlp:32,0", HOUSES),
    Case("An optimiser that there is not", f"{LEARN} --optimizer adamm:1e-3", HOUSES),
    Case("A setting that an optimiser has not", f"{LEARN} --optimizer adam:1e-3,decay=0.9", HOUSES),
    Case("Too many settings", f"{LEARN} --optimizer adam:1e-3,0.9,0.999,1e-8,1e-4", HOUSES),
    Case("A setting that is no number", f"{LEARN} --optimizer adam:fast", HOUSES),
    Case("Momentum without its decay", f"{LEARN} --optimizer momentum:0.1", HOUSES),
    Case("A decay of one", f"{LEARN} --optimizer nesterov:0.1,1", HOUSES),
    Case("A learning rate that is not positive", f"{LEARN} --optimizer sgd:0", HOUSES),
    Case("A learning rate at which training diverges", f"{LEARN} --optimizer sgd:100", HOUSES),
    Case("A loss that there is not", f"{LEARN} --loss log-cosh", HOUSES),
    Case("A quantile of one", f"{LEARN} --loss quantile:1", HOUSES),
    Case("A Huber loss without a width", f"{LEARN} --loss huber:0", HOUSES),
    Case("Fewer than no steps", f"{LEARN} --steps -1", HOUSES),
    Case("More than all rows for testing", f"{LEARN} --test-size 1.5", HOUSES),
    Case("A tolerance of zero", f"{LEARN} --tolerance 0", HOUSES),
    Case("A negative seed", "demo --seed -1"),
    Case("An output directory that is a file", f"{LEARN} --out data.csv", HOUSES),
    Case("A model that is not there", "show missing"),
    Case("A directory that holds no model", "show ."),
)


def answer(case: Case, run: Callable[[list[str]], int] = main) -> tuple[int, str, str]:
    """Runs a case in an empty directory.

    Args:
        case: The case.
        run: The command line.

    Returns:
        The exit code, what was written to stdout, and to stderr.
    """
    before = Path.cwd()
    out, err = io.StringIO(), io.StringIO()
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        try:
            if case.data is not None:
                Path("data.csv").write_bytes(case.data.encode("utf-8", "surrogateescape"))
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = run(shlex.split(case.arguments))
        finally:
            os.chdir(before)
    return code, out.getvalue(), err.getvalue()


def page() -> str:
    """The page's text, from a fresh run of every case."""
    parts = [HEAD]
    for case in CASES:
        _, _, message = answer(case)
        session = f"$ innerloop {case.arguments}\n{message.rstrip()}"
        parts.append(f"## {case.title}\n\n```console\n{session}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
