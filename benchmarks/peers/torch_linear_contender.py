"""Linear self-attention in eager PyTorch, as one writes it: data, forward, backward, AdamW."""

import json
import sys

import torch
from serving import serve


def main() -> None:
    told = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    torch.manual_seed(0)
    depth, batch, n, d = told["depth"], told["batch"], 10, 10
    r = d + 1
    deviation = (0.002 / (depth * r)) ** 0.5
    heads = [
        torch.nn.init.trunc_normal_(torch.empty(r, r), std=deviation).requires_grad_()
        for _ in range(4)
    ]
    rate = 1e-3 if depth <= 3 else 5e-4
    optimizer = torch.optim.AdamW(heads, lr=rate, betas=(0.9, 0.98), weight_decay=0.0)

    def loss() -> torch.Tensor:
        w = torch.randn(batch, d, 1)
        x = torch.rand(batch, n + 1, d) - 0.5
        y = x @ w
        targets = y[:, -1, 0].clone()
        y[:, -1] = 0.0
        tokens = torch.cat([x, y], dim=-1)
        queries_by, keys_by, values_by, out_by = heads
        for _ in range(depth):
            context = tokens[:, :-1]
            scores = (tokens @ queries_by) @ (context @ keys_by).mT
            tokens = tokens + scores @ (context @ values_by) @ out_by
        return 0.5 * ((-tokens[:, -1, -1] - targets) ** 2).mean()

    def take(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            loss().backward()
            torch.nn.utils.clip_grad_norm_(heads, 1e-3)
            optimizer.step()

    serve(take)


if __name__ == "__main__":
    main()
