"""From a compiled model and its learner's own run to the numbers of a report."""

import platform
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from jaxtyping import Float, Int

from innerloop.compiler import Certificate, Compiled
from innerloop.report.results import Cut, Lifetime, Row, Study, Yardstick
from innerloop.report.split import Split

REPORTED_PACKAGES = ("innerloop", "jax", "numpy", "scikit-learn")


@dataclass(frozen=True)
class Runs:
    """The same queries answered twice, after every step.

    Args:
        transformer: Predictions read from the residual stream.
        direct: Predictions of `il.run`.
        check: What `model.check` reported.
        seconds: Wall time by stage.
    """

    transformer: Float[np.ndarray, "s queries p"]
    direct: Float[np.ndarray, "s queries p"]
    check: str
    seconds: dict[str, float]


def study(
    model: Compiled,
    runs: Runs,
    split: Split,
    cut: Cut,
    *,
    name: str,
    learner: str,
    yardsticks: tuple[Yardstick, ...],
) -> Study:
    """Scores of every iterate, the learnt function along `cut`, and what the model consists of.

    Args:
        model: The compiled model.
        runs: Its iterates and the learner's, at the queries of `split.prompt(cut.inputs)`.
        split: The data set.
        cut: Where the learnt function is drawn.
        name: The data set's name.
        learner: The learner in words.
        yardsticks: Other methods on the same split.

    Returns:
        All that the report needs; no model inside.
    """
    transformer_train, transformer_test = split.scores(runs.transformer)
    direct_train, direct_test = split.scores(runs.direct)
    sizes = {"n": split.n, "m": split.m, "d": model.d, "p": model.p}
    return Study(
        name=name,
        learner=learner,
        score="accuracy" if split.classification else "R²",
        targets=split.targets,
        sizes=sizes | {"depth": model.depth, "width": model.width, "steps": model.steps},
        blocks={
            "init": model.sections.init,
            "step": model.sections.step,
            "read-out": model.sections.read_out,
        },
        dtype=model.dtype,
        layers=iterate_layers(model),
        transformer_train=transformer_train,
        transformer_test=transformer_test,
        direct_train=direct_train,
        direct_test=direct_test,
        transformer_log_loss=split.test_log_losses(runs.transformer),
        direct_log_loss=split.test_log_losses(runs.direct),
        difference=np.abs(runs.transformer - runs.direct).max((1, 2)),
        yardsticks=yardsticks,
        cut=cut,
        curves=split.restored(runs.transformer[:, split.n + split.m :]),
        lifetimes=tuple(
            Lifetime(s.name, s.tokens, s.block, len(s.coordinates), s.born, s.dies)
            for s in model.subspaces
        ),
        anatomy=tuple(
            Row(
                part.block,
                part.layer,
                part.kind,
                part.computes,
                tuple(part.reads),
                tuple(part.writes),
                part.size,
                part.source,
            )
            for part in model.anatomy().rows
        ),
        certificate=str(_measured(model.certificate, runs)),
        check=runs.check,
        seconds=runs.seconds,
    )


def _measured(certificate: Certificate, runs: Runs) -> Certificate:
    """The certificate with the difference on the data themselves, where it has no other."""
    if certificate.measured is not None:
        return certificate
    gap = np.nan_to_num(np.abs(runs.transformer - runs.direct), nan=np.inf).max()
    scale = max(np.abs(runs.direct).max(where=np.isfinite(runs.direct), initial=0.0), 1e-300)
    return replace(certificate, measured=float(gap / scale), prompts=1)


def iterate_layers(model: Compiled) -> Int[np.ndarray, " s"]:
    """After how many layers each iterate's prediction is there, the read-out's layers included."""
    sections = model.sections
    return sections.init + sections.read_out + sections.step * np.arange(model.steps + 1)


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that decide a result."""
    found = {"python": platform.python_version()}
    for package in REPORTED_PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
