"""The transformer: score x normaliser x mask -> attention; neurons; blocks, looped or stacked."""

from innerloop.models.attention import Attention as Attention
from innerloop.models.attention import cheaper_order as cheaper_order
from innerloop.models.decoder import GPT2 as GPT2
from innerloop.models.decoder import Decoder as Decoder
from innerloop.models.in_context import InContextTransformer as InContextTransformer
from innerloop.models.kernel_attention import KernelAttention as KernelAttention
from innerloop.models.kernel_attention import KernelHeads as KernelHeads
from innerloop.models.linear_layers import bilinear as bilinear
from innerloop.models.linear_layers import products as products
from innerloop.models.mlp import MLP as MLP
from innerloop.models.preconditioned import Preconditioned as Preconditioned
from innerloop.models.preconditioned import PreconditionedAttention as PreconditionedAttention
from innerloop.models.self_attention import SelfAttention as SelfAttention
from innerloop.models.transformer import Block as Block
from innerloop.models.transformer import LayerNorm as LayerNorm
from innerloop.models.transformer import Transformer as Transformer
from innerloop.models.transformer import visit as visit

ARCHITECTURES = {
    "self_attention": SelfAttention,
    "preconditioned": Preconditioned,
    "kernel_heads": KernelHeads,
    "gpt2": GPT2,
}
"""What can be trained, by the name that configurations use."""
