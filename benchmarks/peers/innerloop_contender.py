"""Innerloop's own training, chunk by chunk, as `innerloop.training.train` runs it."""

import json
import sys
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from serving import serve

from innerloop.models import GPT2, SelfAttention
from innerloop.tasks import LinearRegression, von_oswald
from innerloop.training import Optimizer, TrainingConfig
from innerloop.training.codegen import compiler_options
from innerloop.training.presets import PRESETS
from innerloop.training.program import chunk_program, objective, started, trainable


def setting(told: dict[str, Any]) -> tuple[Any, Any, TrainingConfig]:
    """Architecture, task and configuration of a contest."""
    if told["contest"] == "decoder":
        optimizer = Optimizer(learning_rate=1e-4, b2=0.999, clip=None)
        config = TrainingConfig(batch=told["batch"], loss="prefixes", optimizer=optimizer)
        return GPT2.of_size(told["size"]), LinearRegression(n=40, d=20), config
    if told["contest"] == "population":
        run = PRESETS["vonoswald-one-layer-population"]
        return run.model, run.task, run.training
    depth = told["depth"]
    optimizer = Optimizer(learning_rate=1e-3 if depth <= 3 else 5e-4, clip=1e-3)
    config = TrainingConfig(batch=told["batch"], optimizer=optimizer)
    return SelfAttention(depth=depth, tied=True), von_oswald(), config


def main() -> None:
    told = json.loads(sys.argv[1])
    architecture, task, config = setting(told)
    seeds = jnp.zeros(1, int)
    model = architecture(d=task.d, p=task.p, key=jax.random.key(0))
    weights, static = eqx.partition(model, trainable)
    weights = jax.tree.map(lambda leaf: leaf[None], weights)
    chain = config.optimizer.chain(told.get("total", config.steps))
    options = compiler_options(weights)
    run = {"state": started(weights, chain, options), "step": 0}
    programs = {}
    loss = objective(static, task, config, task.d)

    def take(steps: int) -> None:
        program = programs.setdefault(steps, chunk_program(loss, chain, steps, options))
        run["state"], _, taken = program(run["state"], jnp.asarray(run["step"]), seeds)
        assert np.asarray(taken).all()
        run["step"] += steps

    def heads() -> dict[str, Any]:
        model = eqx.combine(run["state"].weights, static)
        attention = model.stages[0].blocks.attention[0]
        names = ("W_Q", "W_K", "W_V", "W_O")
        return {name: np.asarray(getattr(attention, name))[0, 0].tolist() for name in names}

    serve(take, weights=heads)


if __name__ == "__main__":
    main()
