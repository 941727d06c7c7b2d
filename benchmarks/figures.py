# ruff: noqa: T201 (a script that prints)
"""Measures the tables of `benchmarks/README.md` and writes them there.

python -m benchmarks.figures                 # all of them: a few minutes, on an idle machine
python -m benchmarks.figures demo passes     # some of them
"""

import os
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import jax
import numpy as np

import innerloop as il
from benchmarks.contenders import compared, compiled, direct
from benchmarks.passes import STEPS
from benchmarks.passes import rows as rows_of_passes
from benchmarks.problems import digits, kernel_learner, learner
from innerloop.compiler import Compiled

README = Path(__file__).with_name("README.md")
ROUNDS = 7
EXAMPLES = (500, 1000, 2000, 4000, 8000)


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    rule = "|---" + "|--:" * (len(head) - 1) + "|"
    return "\n".join(
        [
            *(f"| {' | '.join(row)} |" for row in (head,)),
            rule,
            *(f"| {' | '.join(row)} |" for row in rows),
        ]
    )


def built(
    rule: il.Learner, steps: int, prompt: il.Prompt, attention: str = "linear"
) -> tuple[Compiled, float, float]:
    """A model, the CPU time to compile it, and that to its first prediction afterwards."""
    start = time.process_time()
    model = il.compile(rule, steps=steps, like=prompt, attention=attention)
    middle = time.process_time()
    jax.block_until_ready(model(prompt))
    return model, middle - start, time.process_time() - middle


def demo() -> str:
    """The digits demo under several learners."""
    prompt, sizes = digits(), (64, 32, 10)
    cases = {
        "64-32-10, SGD, 100 steps": (learner(sizes, "SGD"), 100, "linear", False),
        "64-32-10, momentum, 100 steps": (learner(sizes), 100, "linear", True),
        "64-32-10, Adam, 20 steps": (learner(sizes, "Adam"), 20, "linear", False),
        "64-32-10, SGD, 20 steps, softmax": (learner(sizes, "SGD"), 20, "softmax", False),
        "64-64-64-64-64-64-10, SGD, 20 steps": (
            learner((64, *[64] * 5, 10), "SGD"),
            20,
            "linear",
            False,
        ),
        "functional gradient descent, RBF, 20 steps": (kernel_learner(), 20, "linear", True),
    }
    rows = []
    for name, (rule, steps, attention, is_small) in cases.items():
        model, compiling, first = built(rule, steps, prompt, attention)
        contenders = {
            "run": direct(rule, prompt, steps),
            "model": compiled(model, prompt),
            "iterates": lambda model=model: model.iterates(prompt),
        }
        times = compared(contenders, rounds=ROUNDS)
        low, high = times["model"].spread
        dense = "-"
        if is_small:
            every = {"run": contenders["run"], "dense": compiled(model, prompt, dense=True)}
            dense = f"{compared(every, rounds=1)['dense'].ratio:.1f}"
        rows.append(
            (
                name,
                f"{model.depth}",
                f"{model.width}",
                f"{compiling:.1f} s",
                f"{first:.1f} s",
                f"{times['run'].seconds * 1e3:.0f} ms",
                f"{times['model'].seconds * 1e3:.0f} ms",
                f"**{times['model'].ratio:.2f}** ({low:.2f} to {high:.2f})",
                f"{times['iterates'].ratio:.2f}",
                dense,
            )
        )
        print(rows[-1])
    head = (
        "1,000 digits, 797 queries",
        "depth",
        "width",
        "`il.compile`, CPU",
        "first call, CPU",
        "`il.run`",
        "`model(prompt)`",
        "ratio",
        "`iterates`, ratio",
        "`dense=True`, ratio",
    )
    return table(head, rows)


def examples() -> str:
    """Growth with the number of context examples."""
    model = il.compile(learner((64, 32, 10)), steps=50, like=digits())
    calls = {f"{n:,}": compiled(model, digits(n, 7)) for n in EXAMPLES}
    times = compared(calls, rounds=ROUNDS)
    taken = [times[name].seconds for name in calls]
    exponent = np.polyfit(np.log(EXAMPLES), np.log(taken), 1)[0]
    print("exponent", exponent)
    head = ("context examples", *calls, "exponent")
    row = ("64-32-10, momentum, 50 steps", *(f"{t * 1e3:.0f} ms" for t in taken), f"{exponent:.2f}")
    return table(head, [row])


def sizes() -> str:
    """Growth with width and depth."""
    prompt = digits()
    rows = []
    shapes = [(64, width, 10) for width in (16, 32, 64, 128)]
    shapes += [(64, *[32] * hidden, 10) for hidden in (0, 2, 3, 5)]
    for shape in shapes:
        rule = learner(shape)
        model, compiling, first = built(rule, 20, prompt)
        contenders = {"run": direct(rule, prompt, 20), "model": compiled(model, prompt)}
        times = compared(contenders, rounds=3)
        rows.append(
            (
                "-".join(map(str, shape)),
                f"{model.width}",
                f"{compiling:.1f} s",
                f"{first:.1f} s",
                f"{times['run'].seconds * 1e3:.0f} ms",
                f"{times['model'].seconds * 1e3:.0f} ms",
                f"{times['model'].ratio:.2f}",
            )
        )
        print(rows[-1])
    head = (
        "network, momentum, 20 steps",
        "width of the stream",
        "`il.compile`, CPU",
        "first call, CPU",
        "`il.run`",
        "`model(prompt)`",
        "ratio",
    )
    return table(head, rows)


def timed(tables: Callable[[], str]) -> str:
    """Tables of times, and where they were taken."""
    machine = (
        f"Python {platform.python_version()}, JAX {version('jax')}, float64, "
        f"{os.cpu_count()} cores ({platform.machine()}), median of {ROUNDS} interleaved rounds; "
        "the ratio is to `il.run` on the same prompt in the same round; CPU time is that of the "
        "process, all threads together."
    )
    return f"{machine}\n\n{tables()}"


def passes() -> str:
    """What each pass of the compiler saves."""
    words = (
        "Layers of a step, width, and heads and neurons that are not padding. Models without a "
        "pass are compiled with its function replaced by one that does nothing "
        f"(`benchmarks/passes.py`), and predict the same; {STEPS} steps."
    )
    return f"{words}\n\n{table(*rows_of_passes())}"


SECTIONS = {
    "demo": lambda: timed(demo),
    "growth": lambda: timed(lambda: f"{examples()}\n\n{sizes()}"),
    "passes": passes,
}


def main() -> None:
    """Measures, and writes each section between its two marks."""
    for name in sys.argv[1:] or SECTIONS:
        text = SECTIONS[name]()
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, rest = README.read_text().split(begin)
        _, after = rest.split(end)
        README.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")


if __name__ == "__main__":
    main()
