"""Wu et al.: constants and counts of the printed proofs that have to be other than they are."""

import numpy as np
from scipy.special import expit

from innerloop import constructions
from innerloop.papers.claims import Claim, Outcome, Scale, at_least, at_most, near
from innerloop.papers.wu2024.network import problem

WIDTH, ROW = 4, 0.7
SAMPLES = {"smoke": 2_000, "small": 50_000, "paper": 500_000}
INTERVALS, REACH = 20, 10.0


def growth_constant(scale: Scale) -> Outcome:
    """`max |V^T s|` over `B_v max |s|`: one case above `sqrt K`, random ones below `K`."""
    worst = np.zeros((WIDTH, WIDTH))
    worst[:, 0] = ROW
    found = np.abs(worst.T @ np.ones(WIDTH)).max() / ROW
    rng = np.random.default_rng(0)
    v = rng.normal(size=(SAMPLES[scale], WIDTH, WIDTH))
    v *= ROW / np.linalg.norm(v, axis=2, keepdims=True)
    s = rng.choice([-1.0, 1.0], size=(SAMPLES[scale], WIDTH))
    ratios = np.abs(np.einsum("bij,bi->bj", v, s)).max(1) / ROW
    checks = (
        at_least("growth of an entry, rows B_v e_1", found, WIDTH**0.5 + 1.0, said="at most √K"),
        near("the same, K = 4", found, float(WIDTH), absolute=1e-12, said=""),
        at_most("largest growth, random rows of norm B_v", ratios.max(), float(WIDTH)),
        at_most(
            "spectral norm of the case over √K B_v",
            float(np.linalg.norm(worst, 2)) / (WIDTH**0.5 * ROW),
            1.0 + 1e-12,
        ),
    )
    return Outcome(checks, settings={"K": WIDTH, "samples": SAMPLES[scale]}, seeds=(0,))


def range_of_activations(scale: Scale) -> Outcome:
    """`<v, p>` for `|v| <= B_v` and entries of `p` up to `B_r`."""
    del scale
    v, p = np.full(WIDTH, ROW / WIDTH**0.5), np.ones(WIDTH)
    found = v @ p / (np.linalg.norm(v) * np.abs(p).max())
    checks = (
        at_least("largest pre-activation over B_v B_r", found, 1.5, said="1"),
        near("the same over √K B_v B_r", found / WIDTH**0.5, 1.0, absolute=1e-12, said=""),
    )
    return Outcome(checks, settings={"K": WIDTH})


def units_of_lemma_3(scale: Scale) -> Outcome:
    """Heads with a value in the layer of derivatives, counted from its weights."""
    checks = []
    for depth in (2, 3) if scale == "smoke" else (2, 3, 4, 6):
        weights, _ = problem(depth)
        model = constructions.deep_gradient_descent(
            weights,
            examples=6,
            steps=1,
            learning_rate=0.1,
            activation=constructions.relu(0.1),
            box=5.0,
        )
        values = np.asarray(model.transformer.blocks.attention[-1].W_V)[depth]
        heads = int(np.any(values, axis=(1, 2)).sum())
        units = 4 * (depth - 1) + 2
        name = f"units, N = {depth}"
        checks.append(near(name, heads / 2, float(units), said=f"K (N - 1) = {4 * (depth - 1)}"))
    return Outcome(tuple(checks), settings={"K": 4, "p": 2, "hinges of a ramp": 2})


def knots_of_a_sigmoid(scale: Scale) -> Outcome:
    """The sigmoid on `[-10, 10]` by interpolation, against the example of Appendix A.2."""
    del scale
    hinges = constructions.interpolant(expit, REACH, INTERVALS)
    t = np.linspace(-REACH, REACH, 20_001)
    error = float(np.abs(hinges(t) - expit(t)).max())
    bound = constructions.interpolation_error(constructions.SIGMOID_CURVATURE, REACH, INTERVALS)
    checks = (
        at_most("error", error, bound, said="0.625"),
        at_most("ReLUs", float(len(hinges.factor)), 21.0, said="80"),
        at_most("sum of coefficients C", hinges.size, 25.0, said="25"),
    )
    return Outcome(checks, settings={"intervals": INTERVALS, "range": REACH})


def norm_of_the_gate(scale: Scale) -> Outcome:
    """`|W_1|` of Lemma 4's layer, by rows and by columns, as targets become more."""
    counts = (2, 5) if scale == "smoke" else (2, 5, 11, 23)
    largest, checks = 7.0, []
    for p in counts:
        model = constructions.deep_gradient_descent(
            [np.ones((4, 3)), np.ones((p, 4))],
            examples=6,
            steps=1,
            learning_rate=0.1,
            activation=constructions.relu(0.1),
            box=5.0,
            largest=largest,
        )
        mlp = model.transformer.blocks.mlp
        assert mlp is not None
        matrix = np.abs(np.asarray(mlp.W_in)[3])
        rows, columns = matrix.sum(1).max(), matrix.sum(0).max()
        checks.append(near(f"largest row sum, p = {p}", rows, 2 * 2 + 2 * largest, said=""))
        checks.append(near(f"largest column sum, p = {p}", columns, 2 * p * largest, said=""))
        checks.append(
            at_least(f"column sum less R + 1, p = {p}", columns - largest - 1, 1.0, said="0")
        )
    return Outcome(tuple(checks), settings={"R": largest, "kappa": 2})


def largest_step(scale: Scale) -> Outcome:
    """Descent on `L w^2 / 2` with steps of `L` and of `1/L`."""
    del scale
    smoothness, start = 3.0, 1.0
    printed, meant = (
        abs(start - rate * smoothness * start) for rate in (smoothness, 1 / smoothness)
    )
    checks = (
        at_least("|w| after a step of L, from 1", printed, 2.0, said="below 1"),
        at_most("|w| after a step of 1/L", meant, 1e-12),
    )
    return Outcome(checks, settings={"L": smoothness})


CLAIMS = (
    Claim(
        id="growth-constant",
        statement="Going back a layer multiplies the entries of s by at most P B_v, with P = "
        "max(sqrt K, sqrt d).",
        place="Lemma 6, Theorem 1",
        tolerance="one exact case, and random rows of norm B_v",
        measure=growth_constant,
        correction="P = max(K, d) for entries, which is what the lemma bounds: rows of norm B_v "
        "have columns of norm up to sqrt(K) B_v. In the 2-norm sqrt K would do.",
    ),
    Claim(
        id="range-of-activations",
        statement="Pre-activations lie within R_1 = B_v B_r.",
        place="Lemma 2, the range on which r is approximated",
        tolerance="one exact case",
        measure=range_of_activations,
        correction="R_1 misses the root of the width, since p is a vector.",
    ),
    Claim(
        id="units-of-lemma-3",
        statement="Derivatives are needed for K (N - 1) units.",
        place="Lemma 3",
        tolerance="heads are counted in the weights",
        measure=units_of_lemma_3,
        correction="There are K (N - 1) + p: the outputs have activations too.",
    ),
    Claim(
        id="knots-of-a-sigmoid",
        statement="The sigmoid on [-10, 10] is a sum of 80 ReLUs with coefficients of size 25, to "
        "within 0.625.",
        place="Appendix A.2",
        tolerance="h² M / 8 for explicit knots; no more ReLUs and coefficients than printed",
        measure=knots_of_a_sigmoid,
    ),
    Claim(
        id="norm-of-the-gate",
        statement="The weights of Lemma 4's MLP have norm at most R + 1, in a norm that sums "
        "columns.",
        place="Lemma 4, Definition 9",
        tolerance="read from the weights",
        measure=norm_of_the_gate,
        correction="Rows are bounded; the columns of the constant and of t collect an entry of "
        "every hidden unit, and grow with the number of targets.",
    ),
    Claim(
        id="largest-step",
        statement="Descent converges to stationary points for eta <= L.",
        place="Lemma 14",
        tolerance="one exact case",
        measure=largest_step,
        correction="eta <= 1/L.",
    ),
)
