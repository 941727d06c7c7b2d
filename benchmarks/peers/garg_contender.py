# ruff: noqa: PLC0415 (the path of the checkout is known once it has been read)
"""The published code of Garg et al., from a checkout of dtsip/in-context-learning, on a CPU.

Its model, samplers, tasks and step are used as they are. What the files import for other purposes
(logging, boosted trees, the command line) is replaced by empty modules.
"""

import json
import sys
from types import SimpleNamespace
from unittest.mock import MagicMock

import torch
from serving import serve

SIZES = {"tiny": (3, 2, 64), "small": (6, 4, 128), "standard": (12, 8, 256)}
NOT_NEEDED = ("xgboost", "wandb", "quinine", "eval", "curriculum", "schema")


def main() -> None:
    told = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sys.path.insert(0, told["checkout"] + "/src")
    for name in NOT_NEEDED:
        sys.modules[name] = MagicMock()
    from models import build_model
    from samplers import get_data_sampler
    from tasks import get_task_sampler
    from train import train_step

    depth, heads, width = SIZES[told["size"]]
    points, d, batch = 41, 20, told["batch"]
    model = build_model(
        SimpleNamespace(
            family="gpt2", n_dims=d, n_positions=101, n_embd=width, n_layer=depth, n_head=heads
        )
    )
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    covariates = get_data_sampler("gaussian", n_dims=d)
    teachers = get_task_sampler("linear_regression", d, batch)

    def take(steps: int) -> None:
        for _ in range(steps):
            xs = covariates.sample_xs(points, batch, d)
            task = teachers()
            train_step(model, xs, task.evaluate(xs), optimizer, task.get_training_metric())

    serve(take)


if __name__ == "__main__":
    main()
