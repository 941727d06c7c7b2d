r"""Choosing between algorithms by validation in context: Bai et al., Section 4.1.

    train on examples with t = 1      L_k = mean over t = -1 of (f_k - y)^2 / 2
    c_k = sum_l max(L_k - L_l, 0)     u_k = max(1 - c_k / gamma, 0)
    lambda_k = max(1 - sum_{l<k} u_l, 0) - max(1 - sum_{l<=k} u_l, 0)     answer sum_k lambda_k f_k

Here the algorithms are ridge regressions with penalties of their own, run side by side.

Proof. Training: the heads of Theorem 13, whose scores are closed for validation examples by
`-R (1 - t)`. Then `2 K` heads write `f_k(x)` in every token. Scores `max(+-(f_k - y), 0)` with
values `+-(f_k - y) / 2`, closed for training examples, add up to `(f_k - y)^2 / 2`: the validation
loss, in every token. The best algorithm has `c = 0` and `u = 1`. The `lambda_k` are not negative;
they add up to `min(1, sum u) = 1`; algorithms worse than the best by more than `gamma` have
`c_k > gamma`, so `u_k = lambda_k = 0`. A last layer has the products `lambda_k f_k` as scores:
`lambda` is the same in every token, `f_k` is the query's own.
Axes: `K` algorithms, `d` covariates, one target.
Reference: Bai et al. (2023), arXiv:2306.04637, Theorem 11 and Appendix on algorithm selection.
"""

from collections.abc import Sequence

import numpy as np

from innerloop.constructions._blocks import RELU, Head, Layer, Neurons, Slots, relu_pair
from innerloop.constructions._construction import Construction, construction


def select_ridge(
    penalties: Sequence[float],
    *,
    d: int,
    training: int,
    validation: int,
    steps: int,
    learning_rate: float,
    resolution: float,
    largest: float = 1e3,
) -> Construction:
    r"""Ridge regression whose penalty is chosen on the last examples of the context.

    Args:
        penalties: One for each algorithm.
        d: The number of covariates.
        training: How many examples, the first ones, are trained on.
        validation: How many, the last ones, decide.
        steps: How many gradient steps the algorithms take.
        learning_rate: Their step size.
        resolution: `gamma`: losses that differ by less are mixed.
        largest: A bound `R` on scores, behind which examples are closed out.

    Returns:
        The construction: `steps + 5` layers.
    """
    count, positions = len(penalties), training + validation + 1
    slots = Slots(
        x=d, y=1, one=1, train=1, valid=1, w=count * d, f=count, loss=count, c=count, u=count,
        share=count, out=1,
    )  # fmt: skip
    examples = training + validation
    weights = [slots.w[k * d : k * d + d] for k in range(count)]
    rows = np.eye(count)
    heads = []
    for k, penalty in enumerate(penalties):
        for sign in (1.0, -1.0):
            heads.append(
                Head(
                    np.concatenate([sign * weights[k], -sign * slots.one, -largest * slots.one]),
                    np.concatenate([slots.x, slots.y, slots.one - slots.train]),
                    slots.x,
                    -sign * learning_rate * examples / training * weights[k].T,
                    kernel=RELU,
                )
            )
        decay = -learning_rate * penalty * weights[k].T
        heads.append(Head(slots.one, slots.one, weights[k], decay, kernel=RELU))
    predict = [
        head
        for k in range(count)
        for head in relu_pair(Head(slots.x, weights[k], slots.one, slots.f.T @ rows[k][:, None]))
    ]
    judge = [
        Head(
            np.concatenate([slots.one, -largest * slots.one]),
            np.concatenate([sign * (slots.f[k : k + 1] - slots.y), slots.one - slots.valid]),
            slots.f[k : k + 1] - slots.y,
            sign * 0.5 * examples / validation * slots.loss.T @ rows[k][:, None],
            kernel=RELU,
        )
        for k in range(count)
        for sign in (1.0, -1.0)
    ]
    mix = [
        head
        for k in range(count)
        for head in relu_pair(
            Head(slots.f[k : k + 1], slots.share[k : k + 1], slots.one, slots.out.T)
        )
    ]
    pairs = [(k, other) for k in range(count) for other in range(count) if other != k]
    behind = Neurons(
        np.array([slots.loss[k] - slots.loss[other] for k, other in pairs]),
        slots.c.T @ np.array([rows[k] for k, _ in pairs]).T,
    )
    near = Neurons(slots.one - slots.c / resolution, slots.u.T)
    before = np.tri(count, k=-1)  # sums over l < k
    left = np.concatenate([slots.one - before @ slots.u, slots.one - (before + rows) @ slots.u])
    share = Neurons(left, np.concatenate([slots.share.T, -slots.share.T], axis=1))
    layers = [
        Layer(tuple(heads)),
        Layer(tuple(predict)),
        Layer(tuple(judge), behind),
        Layer((), near),
        Layer((), share),
        Layer(tuple(mix)),
    ]
    inputs = np.eye(d + 2 + positions)
    data = np.concatenate([slots.x, slots.y, slots.one]).T @ inputs[: d + 2]
    position = np.arange(positions)
    train = (position < training) @ inputs[d + 2 :]
    valid = ((position >= training) & (position < examples)) @ inputs[d + 2 :]
    context = data + slots.train.T @ train[None] + slots.valid.T @ valid[None]
    return construction(
        layers,
        d=d,
        embed=(context, data),
        unembed=slots.out,
        repeats=(*(0,) * steps, 1, 2, 3, 4, 5),
    )
