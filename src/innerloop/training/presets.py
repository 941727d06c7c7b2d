"""Runs with a name: settings of the papers that train in-context learners."""

from innerloop.models import GPT2, KernelHeads, Preconditioned, SelfAttention
from innerloop.tasks import Covariance, GaussianProcess, LinearRegression, von_oswald
from innerloop.training.config import Curriculum, Optimizer, TrainingConfig
from innerloop.training.runs import Run

_GARG = TrainingConfig(
    steps=500_000,
    batch=64,
    loss="prefixes",
    optimizer=Optimizer(learning_rate=1e-4, b2=0.999, clip=None),
    evaluate_every=1000,
    evaluation_prompts=1280,
    curriculum=Curriculum(),
)
_LINEAR = LinearRegression(n=40, d=20)

PRESETS: dict[str, Run] = {
    "vonoswald-one-layer": Run(
        SelfAttention(), von_oswald(), TrainingConfig(optimizer=Optimizer(clip=1e-3))
    ),
    "vonoswald-one-layer-population": Run(
        SelfAttention(),
        von_oswald(),
        TrainingConfig(steps=1000, loss="population", optimizer=Optimizer(3e-3), evaluate_every=50),
    ),
    "vonoswald-two-layers-tied": Run(
        SelfAttention(depth=2, tied=True),
        von_oswald(),
        TrainingConfig(optimizer=Optimizer(clip=1e-3)),
    ),
    "vonoswald-five-layers": Run(
        SelfAttention(depth=5, clip=10.0),
        von_oswald(),
        TrainingConfig(steps=50_000, optimizer=Optimizer(5e-4)),
    ),
    "vonoswald-alternating": Run(
        SelfAttention(depth=2, kernel=("softmax", "linear"), tokens="alternating", init_scale=0.02),
        von_oswald(),
        TrainingConfig(steps=10_000),
    ),
    "ahn-three-layers": Run(
        Preconditioned(depth=3),
        LinearRegression(n=20, d=5),
        TrainingConfig(
            steps=10_000,
            batch=4000,
            loss="expected",
            optimizer=Optimizer(learning_rate=1e-3, b2=0.9, clip=None),
        ),
    ),
    "cheng-three-layers": Run(
        KernelHeads(depth=3, kernels=("exp",), init_scale=0.05),
        GaussianProcess(n=14, d=5, kernel=(Covariance("exp"),)),
        TrainingConfig(
            steps=2500,
            batch=400,
            loss="expected",
            optimizer=Optimizer(learning_rate=4e-3, schedule="cosine", b2=0.95, clip=0.5),
        ),
    ),
    "garg-tiny": Run(GPT2.of_size("tiny"), _LINEAR, _GARG),
    "garg-small": Run(GPT2.of_size("small"), _LINEAR, _GARG),
    "garg-standard": Run(GPT2.of_size("standard"), _LINEAR, _GARG),
}
"""Every preset, by name."""
