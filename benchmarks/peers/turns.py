"""The side of the referee: processes that take turns on one core.

    A B C A B C ...        a turn is a number of steps; its cost is the process's own CPU time

Ratios are taken within a round, so that what else the machine does meets all contenders alike.
"""

import json
import os
import statistics
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}


class Contender:
    """A process that takes steps when told to.

    Args:
        python: The interpreter that runs it.
        script: Its file in this folder.
        arguments: What the script is told.
        core: The core that it is pinned to.
    """

    def __init__(self, python: str, script: str, arguments: dict[str, Any], *, core: int):
        kept = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
        self._process = subprocess.Popen(
            ["taskset", "-c", str(core), python, str(HERE / script), json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=kept | ONE_THREAD,
        )

    def turn(self, steps: int, **options: bool) -> dict[str, Any]:
        """What a number of steps cost: `cpu` in seconds, `peak` memory of the process in MB."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps({"steps": steps, **options}), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"a contender ended: {self._process.args}. Its error is above.")
        return json.loads(answer)

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class Cost(NamedTuple):
    """What a step costs a contender.

    Args:
        seconds: CPU seconds a step, the median over rounds.
        ratio: Its cost over that of the first contender in the same round, the median.
        spread: The smallest and the largest of these ratios.
        memory: The most memory it held, in MB.
    """

    seconds: float
    ratio: float
    spread: tuple[float, float]
    memory: float


def compared(
    contenders: dict[str, Contender], steps: dict[str, int], *, rounds: int
) -> dict[str, Cost]:
    """Costs of contenders that take turns; each has one turn before, in which it compiles.

    Args:
        contenders: By name; the first is what the others are held against.
        steps: By name, the steps of a turn.
        rounds: How many turns each has.
    """
    memory, times = {}, {name: [] for name in contenders}
    for name, contender in contenders.items():
        contender.turn(steps[name])
    for _ in range(rounds):
        for name, contender in contenders.items():
            answer = contender.turn(steps[name])
            times[name].append(answer["cpu"] / steps[name])
            memory[name] = answer["peak"]
    for contender in contenders.values():
        contender.close()
    first = times[next(iter(contenders))]
    found = {}
    for name, own in times.items():
        ratios = [cost / base for cost, base in zip(own, first, strict=True)]
        found[name] = Cost(
            statistics.median(own),
            statistics.median(ratios),
            (min(ratios), max(ratios)),
            memory[name],
        )
    return found
