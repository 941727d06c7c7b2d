r"""Matching and mixing weights of one-head models: von Oswald et al., A.3.

    W_KQ = W_K^T W_Q     W_PV = P W_V          beta = mean of W_KQ's diagonal over the covariates
    W_KQ <- W_KQ / beta     W_PV <- beta W_PV          W_I = (1 - a) W_1 + a W_2 for both products

Proof. The layer depends on its four matrices through `W_PV` and `W_KQ` only, and is linear in
each, so `(W_PV s, W_KQ / s)` is the same layer for every `s`; `beta` picks one of them. The mean
of two models' products is a model between them only where both have been scaled alike.
Axes: `r` residual width, `d` covariates.
Reference: von Oswald et al. (2023), arXiv:2212.07677, Appendix A.3.
"""

import equinox as eqx
import numpy as np
from jaxtyping import Float

from innerloop.constructions._blocks import LINEAR
from innerloop.constructions._construction import Construction
from innerloop.models import Attention


def products(
    model: Construction,
) -> tuple[Float[np.ndarray, "r r"], Float[np.ndarray, "r r"]]:
    """`W_KQ` and `W_PV` of a looped construction with one linear head.

    Raises:
        ValueError: If the construction has several heads or layers, or another kernel.
    """
    attention = model.transformer.blocks.attention
    if len(attention) != 1 or attention[0].kernel != LINEAR or attention[0].W_Q.shape[:2] != (1, 1):
        raise ValueError("only one linear head in one looped block has two products to compare.")
    q, k, v, o = (
        np.asarray(w)[0, 0]
        for w in (attention[0].W_Q, attention[0].W_K, attention[0].W_V, attention[0].W_O)
    )
    return k.T @ q, o @ v


def rescaled(model: Construction) -> Construction:
    """The same model with `W_KQ` of mean diagonal 1 over the covariates.

    Raises:
        ValueError: If the construction has several heads or layers, or another kernel.
    """
    kq, pv = products(model)
    beta = np.diag(kq)[: model.d].mean()
    return _with_products(model, kq / beta, pv * beta)


def interpolated(first: Construction, second: Construction, share: float = 0.5) -> Construction:
    """The model between two, product by product; rescale both before.

    Args:
        first: The model at `share` 0; its embedding and read-out are kept.
        second: The model at `share` 1.
        share: How far from the first to the second.

    Returns:
        The interpolated model.

    Raises:
        ValueError: If either has several heads or layers, or another kernel.
    """
    mixed = (
        (1 - share) * a + share * b for a, b in zip(products(first), products(second), strict=True)
    )
    return _with_products(first, *mixed)


def _with_products(
    model: Construction, kq: Float[np.ndarray, "r r"], pv: Float[np.ndarray, "r r"]
) -> Construction:
    """The model with `W_K = W_V = I`, as the paper evaluates interpolated weights."""
    heads = model.transformer.blocks.attention[0]
    identity = np.eye(model.width)
    kq, pv, identity = (w[None, None] for w in (kq, pv, identity))
    attention = Attention(
        kq, identity, identity, pv, heads.averages, heads.readers, heads.sources, heads.kernel
    )
    return eqx.tree_at(lambda m: m.transformer.blocks.attention, model, (attention,))
