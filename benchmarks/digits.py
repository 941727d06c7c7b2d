# ruff: noqa: T201 (a script that prints)
"""How long a compiled model takes beside the same training by `il.run`.

python benchmarks/digits.py

Prints, for a 64-32-10 network on 1,000 digits with 797 queries and 100 steps: compile time, and
the time of the compiled model, sparse and dense, as a multiple of `il.run`; all jitted,
interleaved, the median of a few repeats. Then how the time grows with the number of examples.
"""

import statistics
import time
from collections.abc import Callable

import jax
import numpy as np
import optax
from sklearn.datasets import load_digits

import innerloop as il

REPEATS = 3
STEPS = 100


def network(params: dict, x: jax.Array) -> jax.Array:
    """Two layers of ReLU units."""
    return params["w2"] @ jax.nn.relu(params["w1"] @ x + params["b1"]) + params["b2"]


def seconds(function: Callable[[], object]) -> float:
    """How long a call takes, its result included."""
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


def main() -> None:
    """Measures and prints."""
    rng = np.random.default_rng(0)
    pixels, digits = load_digits(return_X_y=True)
    x, y = pixels / 16.0, np.eye(10)[digits]
    prompt = il.Prompt(x[:1000], y[:1000], x[1000:])
    params = {
        "w1": rng.normal(size=(32, 64)) * np.sqrt(2 / 64),
        "b1": np.zeros(32),
        "w2": rng.normal(size=(10, 32)) / np.sqrt(32),
        "b2": np.zeros(10),
    }
    learner = il.learner(network, params, optimizer=optax.sgd(0.2, momentum=0.9))
    start = time.perf_counter()
    model = il.compile(learner, steps=STEPS, like=prompt)
    print(f"compile: {time.perf_counter() - start:.2f} s, depth {model.depth}, width {model.width}")

    with jax.enable_x64(True):
        run = jax.jit(lambda prompt: il.run(learner, prompt, steps=STEPS))
        contenders = {
            "il.run": lambda: run(prompt),
            "sparse": lambda: model(prompt),
            "dense": lambda: model(prompt, dense=True),
        }
        for contender in contenders.values():
            seconds(contender)
        times = {name: [] for name in contenders}
        for _ in range(REPEATS):
            for name, contender in contenders.items():
                times[name].append(seconds(contender))
    middle = {name: statistics.median(values) for name, values in times.items()}
    for name, value in middle.items():
        print(f"{name}: {value:.3f} s, {value / middle['il.run']:.1f} times il.run")

    sizes = (500, 1000, 2000, 4000, 8000)
    measured = []
    for n in sizes:
        pick = rng.integers(0, len(x), n)
        larger = il.Prompt(x[pick], y[pick], x[:7])
        model(larger)
        repeats = [seconds(lambda p=larger: model(p)) for _ in range(REPEATS)]
        measured.append(statistics.median(repeats))
    exponent = np.polyfit(np.log(sizes), np.log(measured), 1)[0]
    print(", ".join(f"n = {n}: {t:.3f} s" for n, t in zip(sizes, measured, strict=True)))
    print(f"time grows as n^{exponent:.2f}")


if __name__ == "__main__":
    main()
