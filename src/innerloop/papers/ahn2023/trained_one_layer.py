"""One layer trained from random weights, of linear and of ReLU attention (Theorems 1 and 5).

The linear layer is trained on its expected loss, which is known in closed form and free of noise;
the ReLU layer on sampled contexts, with the mean over tasks in closed form.
"""

import numpy as np
from jaxtyping import Float

from innerloop import constructions
from innerloop.models import KernelHeads, SelfAttention, bilinear
from innerloop.papers.claims import Outcome, Scale, at_most, near
from innerloop.papers.symmetry import off_identity
from innerloop.tasks import Covariates, LinearRegression, rotated
from innerloop.training import Optimizer, TrainingConfig, train

D, N = 5, 20
EIGENVALUES = (1.0, 1.0, 0.25, 0.0625, 1.0)
SEEDS = (0, 1, 2, 3, 4)
STEPS = {"smoke": 1_000, "small": 1_000, "paper": 10_000}
RELU = {"small": (600, 512), "paper": (5_000, 4_000)}  # steps, contexts a step
QUERIES = 4


def theorem_1_trained(scale: Scale) -> Outcome:
    """All weights of a layer, each matrix full, against the printed minimum."""
    mixing = rotated(EIGENVALUES, seed=0)
    task = LinearRegression(n=N, d=D, covariates=Covariates(mixing=mixing))
    config = TrainingConfig(
        steps=STEPS[scale],
        loss="population",
        optimizer=Optimizer(1e-2, schedule="cosine"),
        evaluate_every=STEPS[scale] // 2,
    )
    trained = train(SelfAttention(averages=True), task, config, seeds=SEEDS)
    best = constructions.linear_optimum(np.array(mixing) @ np.array(mixing), N)
    size = np.linalg.norm(best.preconditioner)
    apart, others = [], []
    for place in range(len(SEEDS)):
        form = np.asarray(bilinear(trained.model(place), N)[..., 0])
        matrix = N * (form + form.transpose(1, 0, 2))[:D, D]
        apart.append(float(np.linalg.norm(matrix - best.preconditioner) / size))
        others.append(float(max(np.abs(form[:D, :D]).max(), np.abs(form[D, D]).max())))
    losses = 2 * trained.held_out
    checks = (
        at_most("trained matrix less the printed, relative, largest of 5 seeds", max(apart), 0.02),
        at_most("what else reaches the prediction, largest entry", max(others), 1e-3),
        near("loss, mean of 5 seeds", losses.mean(), best.loss, relative=0.01, said=""),
        at_most("spread of the loss over seeds", losses.std(ddof=1), 0.01 * best.loss),
    )
    settings = {"d": D, "n": N, "steps": config.steps}
    return Outcome(checks, {"losses": losses}, settings, seeds=SEEDS)


def theorem_5_trained(scale: Scale) -> Outcome:
    """A head of ReLU attention; its value and its key and query maps multiply to `A`."""
    steps, batch = RELU[scale]
    config = TrainingConfig(
        steps=steps,
        batch=batch,
        loss="expected",
        optimizer=Optimizer(1e-2, schedule="cosine", b2=0.95),
        evaluate_every=steps // 3,
        evaluation_prompts=50_000,
    )
    task = LinearRegression(n=N, d=D, m=QUERIES)
    trained = train(KernelHeads(kernels=("relu",)), task, config, seeds=SEEDS)
    matrices = relu_matrices(trained.models)
    found = np.trace(matrices, axis1=1, axis2=2) / D
    best = constructions.relu_optimum(D, N)
    step, losses = float(best.preconditioner[0, 0]), 2 * trained.held_out
    checks = (
        near("trace of A over d, mean of 5 seeds", found.mean(), step, relative=0.02, said=""),
        at_most("its spread over seeds", found.std(ddof=1), 0.02 * step),
        at_most("A off the multiples of I, largest of 5 seeds", off_identity(matrices), 0.05),
        near("loss, mean of 5 seeds", losses.mean(), best.loss, relative=0.01, said=""),
    )
    settings = {"d": D, "n": N, "steps": steps, "batch": batch, "queries": QUERIES}
    return Outcome(checks, {"steps": found, "losses": losses}, settings, seeds=SEEDS)


def relu_matrices(models) -> Float[np.ndarray, "seeds d d"]:
    """`A = -r B^T C` of a head, up to the sign that ReLU's symmetric inputs do not see."""
    products = np.einsum("sij,sik->sjk", *(np.asarray(m)[:, 0, 0] for m in (models.B, models.C)))
    return -np.asarray(models.r)[:, 0, 0, None, None] * products
