"""The transformer: score x normaliser x mask -> attention; neurons; blocks, looped or stacked."""

from innerloop.models.attention import Attention as Attention
from innerloop.models.attention import cheaper_order as cheaper_order
from innerloop.models.mlp import MLP as MLP
from innerloop.models.transformer import Block as Block
from innerloop.models.transformer import LayerNorm as LayerNorm
from innerloop.models.transformer import Transformer as Transformer
from innerloop.models.transformer import visit as visit
