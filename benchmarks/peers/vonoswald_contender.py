# ruff: noqa: PLC0415 (the path of the checkout is known once it has been read)
"""The published code of von Oswald et al., from a checkout; driven as its first notebook does.

A checkout is the folder `transformers_learn_icl_by_gd` of google-research/self-organising-systems.
Its code was written for an older JAX: `jax.numpy.DeviceArray`, used in annotations, is
given back its name here. Nothing else is changed.
"""

import json
import sys
from typing import Any

import jax
import numpy as np
from serving import serve

jax.numpy.DeviceArray = jax.Array


def main() -> None:
    told = json.loads(sys.argv[1])
    sys.path.insert(0, told["checkout"])
    from src.config import config

    from src import train

    depth = told["depth"]
    config.bs, config.num_layers, config.deq = told["batch"], depth, True
    config.lr = 1e-3 if depth <= 3 else 5e-4
    config.grad_clip_value = 1e-3
    config.init_scale = 0.002 / depth
    optimizer, state, _, key = train.init()
    run = {"state": state, "key": jax.random.split(key)[1]}
    sizes = (config.input_size, config.dataset_size, 0, config.input_range, config.weight_scale)

    def take(steps: int) -> None:
        for _ in range(steps):
            run["key"], new = jax.random.split(run["key"])
            data = train.data_creator(jax.random.split(new, num=config.bs), *sizes)
            run["state"], _ = train.update(run["state"], data, optimizer)
        jax.block_until_ready(run["state"].params)

    def heads() -> dict[str, Any]:
        """Their weights act on rows; ours on columns."""
        names = {"query": "W_Q", "key": "W_K", "value": "W_V", "linear": "W_O"}
        params = run["state"].params
        found = {names[path.split("/")[-1]]: leaves["w"] for path, leaves in params.items()}
        return {name: [np.asarray(matrix).T.tolist()] for name, matrix in found.items()}

    serve(take, weights=heads)


if __name__ == "__main__":
    main()
