"""GPT-2 in PyTorch as it is fastest on a CPU: one product for q, k and v, `sdpa`, fused Adam."""

import json
import sys

import torch
from serving import serve
from torch import nn
from torch.nn import functional

SIZES = {"tiny": (3, 2, 64), "small": (6, 4, 128), "standard": (12, 8, 256)}


class Block(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, stream: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = stream.shape
        qkv = self.qkv(self.first(stream)).view(batch, tokens, 3, self.heads, -1)
        queries, keys, values = qkv.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        stream = stream + self.out(mixed.transpose(1, 2).reshape(batch, tokens, width))
        hidden = functional.gelu(self.up(self.second(stream)), approximate="tanh")
        return stream + self.down(hidden)


class Decoder(nn.Module):
    def __init__(self, d: int, depth: int, heads: int, width: int):
        super().__init__()
        self.read_in, self.read_out = nn.Linear(d, width), nn.Linear(width, 1)
        self.positions = nn.Parameter(0.02 * torch.randn(202, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, xs: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
        batch, points, d = xs.shape
        turns = torch.stack([xs, functional.pad(ys[..., None], (0, d - 1))], dim=2)
        tokens = turns.view(batch, 2 * points, d)[:, :-1]
        stream = self.read_in(tokens) + self.positions[: 2 * points - 1]
        for block in self.blocks:
            stream = block(stream)
        return self.read_out(self.norm(stream[:, ::2]))[..., 0]


def main() -> None:
    told = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    torch.manual_seed(0)
    points, d, batch = 41, 20, told["batch"]
    model = Decoder(d, *SIZES[told["size"]])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)

    def take(steps: int) -> None:
        for _ in range(steps):
            xs = torch.randn(batch, points, d)
            ys = (xs @ torch.randn(batch, d, 1))[..., 0]
            optimizer.zero_grad()
            functional.mse_loss(model(xs, ys), ys).backward()
            optimizer.step()

    serve(take)


if __name__ == "__main__":
    main()
