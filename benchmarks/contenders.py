"""Times of several functions side by side, in one process.

Wall time on a shared machine means little alone; the ratio of two functions that take turns means
more. So contenders are called one after the other, round after round, and every round gives ratios.
"""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import jax

import innerloop as il
from innerloop.compiler import Compiled


class Timing(NamedTuple):
    """How long a contender takes.

    Args:
        seconds: The median over rounds.
        ratio: The median over rounds of its time over the first contender's in the same round.
        spread: The smallest and the largest of these ratios.
    """

    seconds: float
    ratio: float
    spread: tuple[float, float]


def seconds(function: Callable[[], object]) -> float:
    """How long a call takes, its result included."""
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


def compared(contenders: dict[str, Callable[[], object]], *, rounds: int) -> dict[str, Timing]:
    """Times of contenders that take turns; each is called once before, to be compiled."""
    for contender in contenders.values():
        jax.block_until_ready(contender())
    times = [{name: seconds(call) for name, call in contenders.items()} for _ in range(rounds)]
    first = next(iter(contenders))
    found = {}
    for name in contenders:
        ratios = [row[name] / row[first] for row in times]
        middle = statistics.median(row[name] for row in times)
        found[name] = Timing(middle, statistics.median(ratios), (min(ratios), max(ratios)))
    return found


def direct(learner: il.Learner, prompt: il.Prompt, steps: int) -> Callable[[], object]:
    """The same training by `il.run`, jitted, in float64."""
    run = jax.jit(lambda prompt: il.run(learner, prompt, steps=steps))

    def call() -> object:
        with jax.enable_x64(True):
            return jax.block_until_ready(run(prompt))

    return call


def compiled(model: Compiled, prompt: il.Prompt, *, dense: bool = False) -> Callable[[], object]:
    """A call of a compiled model."""
    return lambda: model(prompt, dense=dense)
