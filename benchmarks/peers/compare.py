# ruff: noqa: T201 (a script that prints)
"""Measures the tables of `benchmarks/peers/README.md` and writes them there.

python -m benchmarks.peers.compare --peer-python PY --vonoswald DIR --garg DIR [linear optimum ...]
"""

import argparse
import os
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from benchmarks.figures import table
from benchmarks.peers.turns import Contender, Cost, compared
from innerloop.models import SelfAttention
from innerloop.tasks import von_oswald
from innerloop.training import population_loss

README = Path(__file__).with_name("README.md")
ROUNDS = 5
LEAST = 0.206229
"""The least population loss of one layer on von Oswald et al.'s task."""
LINEAR = {  # name: batch, layers, steps of a turn
    "batch 2048, one layer": (2048, 1, 50),
    "batch 2048, 5 tied layers": (2048, 5, 10),
    "batch 64, one layer": (64, 1, 500),
}
DECODERS = {  # name: size, steps of a turn
    "3x2x64, batch 64": ("tiny", 5),
    "6x4x128, batch 64": ("small", 4),
    "12x8x256, batch 64": ("standard", 4),
}


class Peers:
    """Where contenders are found, and the core that they take turns on."""

    def __init__(self, given: argparse.Namespace):
        self.given = given

    def contender(self, script: str, told: dict[str, Any]) -> Contender:
        """A contender as a process."""
        ours = script.startswith("innerloop")
        python = sys.executable if ours else self.given.peer_python
        checkout = {"vonoswald": self.given.vonoswald, "garg": self.given.garg}
        for name, folder in checkout.items():
            if script.startswith(name):
                told = {**told, "checkout": str(folder)}
        return Contender(python, script, told, core=self.given.core)

    def table(self, head: str, told: dict[str, dict[str, Any]], scripts: dict[str, str]) -> str:
        """A table of contests, a row each, in which contenders take turns."""
        rows = []
        for name, setting in told.items():
            steps = setting["steps"]
            contenders = {who: self.contender(script, setting) for who, script in scripts.items()}
            costs = compared(contenders, dict.fromkeys(scripts, steps), rounds=self.given.rounds)
            rows.append((name, *(said(cost) for cost in costs.values())))
            print(rows[-1], flush=True)
        return table((head, *scripts), rows)


def said(cost: Cost) -> str:
    """A cost in words."""
    low, high = cost.spread
    own = f"{cost.seconds * 1e3:.3g} ms, {cost.memory:.0f} MB"
    return own if low == high == 1 else f"{own}; **{cost.ratio:.2f}** ({low:.2f} to {high:.2f})"


def linear(peers: Peers) -> str:
    """One layer, tied layers, a small batch."""
    told = {
        name: {"contest": "linear", "batch": batch, "depth": depth, "steps": steps}
        for name, (batch, depth, steps) in LINEAR.items()
    }
    scripts = {
        "Innerloop": "innerloop_contender.py",
        "von Oswald et al.": "vonoswald_contender.py",
        "PyTorch, eager": "torch_linear_contender.py",
    }
    return peers.table("linear self-attention, d = n = 10", told, scripts)


def decoders(peers: Peers) -> str:
    """Decoders of three sizes."""
    told = {
        name: {"contest": "decoder", "batch": 64, "size": size, "steps": steps}
        for name, (size, steps) in DECODERS.items()
    }
    scripts = {
        "Innerloop": "innerloop_contender.py",
        "Garg et al.": "garg_contender.py",
        "PyTorch, `sdpa`, fused Adam": "torch_decoder_contender.py",
    }
    return peers.table("GPT-2, d = 20, 41 points", told, scripts)


def optimum(peers: Peers) -> str:
    """CPU time until the population loss is within 1 % of its least."""
    contests = {
        "Innerloop, population loss": ("innerloop_contender.py", {"contest": "population"}, 25),
        "von Oswald et al., batch 2048": (
            "vonoswald_contender.py",
            {"batch": 2048, "depth": 1},
            100,
        ),
    }
    rows, model = [], SelfAttention()(d=10, p=1, key=jax.random.key(0))
    names = ("W_Q", "W_K", "W_V", "W_O")
    for name, (script, told, steps) in contests.items():
        contender = peers.contender(script, told)
        first = contender.turn(steps, weights=True)
        compiling, spent, taken, answer = first["cpu"], 0.0, steps, first
        while (loss := _population_loss(model, names, answer["weights"])) > 1.01 * LEAST:
            answer = contender.turn(steps, weights=True)
            spent, taken = spent + answer["cpu"], taken + steps
        contender.close()
        warm = spent * taken / max(taken - steps, 1)
        rows.append(
            (name, f"{taken}", f"{loss:.6f}", f"{warm:.3g} s", f"{compiling + spent:.3g} s")
        )
        print(rows[-1], flush=True)
    head = ("until the loss is within 1 % of 0.206229", "steps", "loss", "CPU", "with compilation")
    return table(head, rows)


def _population_loss(
    model: eqx.Module, names: tuple[str, ...], weights: dict[str, list[list[list[float]]]]
) -> float:
    """The population loss of weights that a contender sent."""
    heads = [jnp.asarray(weights[name])[None] for name in names]
    given = eqx.tree_at(
        lambda m: [getattr(m.stages[0].blocks.attention[0], name) for name in names], model, heads
    )
    return float(population_loss(given, von_oswald()))


TABLES: dict[str, Callable[[Peers], str]] = {
    "linear": linear,
    "optimum": optimum,
    "decoders": decoders,
}


def written(name: str, found: str, rounds: int) -> None:
    """Puts a table between its marks in the README."""
    machine = (
        f"Python {platform.python_version()}, JAX {version('jax')}, float32, one of "
        f"{os.cpu_count()} cores ({platform.machine()}), {rounds} rounds."
    )
    text = README.read_text("utf-8")
    before, rest = text.split(f"<!-- {name}: begin -->")
    _, after = rest.split(f"<!-- {name}: end -->")
    marked = f"<!-- {name}: begin -->\n\n{machine}\n\n{found}\n\n<!-- {name}: end -->"
    README.write_text(before + marked + after, "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", default=list(TABLES), help=", ".join(TABLES))
    parser.add_argument("--peer-python", default=sys.executable, help="runs the peers' code")
    parser.add_argument("--vonoswald", type=Path, required=True, help="a checkout")
    parser.add_argument("--garg", type=Path, required=True, help="a checkout")
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    for name in given.tables:
        written(name, TABLES[name](Peers(given)), given.rounds)


if __name__ == "__main__":
    main()
