r"""Which algorithm a predictor runs: each family is fitted to it, and held against fresh prompts.

    difference = sqrt(E |f - g|^2 / E |f|^2)          f the predictor, g a family's best member

The settings are fitted on half of the prompts by a grid that is refined around its best point, for
every number of steps; the difference is measured on the other half. The family with the smallest
difference names the predictor if the difference is small; families that fit as well are named
too, for two algorithms can agree on the prompts given. One that fits as well with fewer settings
comes first.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from innerloop.diagnostics._families import FAMILIES, Family, units
from innerloop.diagnostics._predictors import Predictor, Prompts, batch, predictions
from innerloop.precision import in_precision
from innerloop.prompts import Prompt

NONE = "none"
POINTS = {1: 33, 2: 17}
REFINEMENTS = {1: 9, 2: 14}
SHRINK = 4
AS_GOOD = 2.0
EXACT = 1e-6


class Match(NamedTuple):
    """The member of a family that is nearest to a predictor.

    Args:
        family: Its name.
        settings: The fitted settings, by name.
        steps: How many steps it takes.
        difference: Relative difference of predictions on prompts that were not used in the fit.
    """

    family: str
    settings: dict[str, float]
    steps: int
    difference: float


class Identification(NamedTuple):
    """What a predictor runs.

    Args:
        name: The family that names it, or `none`.
        matches: The best of every family, nearest first.
        alike: Families that fit as well, the first included; empty for `none`.
        tolerance: The difference that was allowed.
    """

    name: str
    matches: tuple[Match, ...]
    alike: tuple[str, ...]
    tolerance: float

    def __str__(self) -> str:
        others = f" (as good: {', '.join(self.alike[1:])})" if len(self.alike) > 1 else ""
        lines = [self.name + others]
        for match in self.matches:
            settings = ", ".join(f"{k} {v:.4g}" for k, v in match.settings.items())
            steps = f"{match.steps} step" + "s" * (match.steps != 1)
            lines.append(f"  {match.difference:8.2e}  {match.family}, {steps}, {settings}")
        return "\n".join(lines)


def identify(
    predictor: Predictor,
    prompts: Prompts,
    *,
    steps: int = 5,
    tolerance: float = 0.05,
    families: Sequence[Family] = FAMILIES,
) -> Identification:
    """Names the learning algorithm that a predictor runs.

    Args:
        predictor: From a prompt to `(m, p)`: a model of any kind.
        prompts: At least four prompts of equal sizes; half of them fit the settings, the others
            decide.
        steps: The largest number of steps that is tried.
        tolerance: The largest relative difference at which a predictor is given a name.
        families: Which algorithms are tried.

    Returns:
        The name, `none` where nothing is near, with the best member of every family.

    Raises:
        ValueError: If there are fewer than four prompts, or no steps.

    Example:
        >>> import numpy as np
        >>> from innerloop.algorithms import gradient_descent
        >>> from innerloop.diagnostics import after
        >>> rng = np.random.default_rng(0)
        >>> draw = lambda *shape: rng.normal(size=shape)
        >>> prompts = [Prompt(draw(7, 2), draw(7, 1), draw(3, 2)) for _ in range(8)]
        >>> found = identify(after(gradient_descent(0.1), 2), prompts, families=FAMILIES[:2])
        >>> found.name, found.matches[0].steps, round(found.matches[0].settings["learning_rate"], 6)
        ('gradient descent', 2, 0.1)
    """
    whole = batch(prompts)
    count = whole.x.shape[0]
    if count < 4 or steps < 1:
        raise ValueError(
            f"at least four prompts and one step are needed to fit algorithms and to hold them "
            f"against prompts that were not fitted; got {count} prompts and {steps} steps."
        )
    whole = jax.tree.map(lambda a: np.asarray(a, np.float64), whole)
    answers = np.asarray(predictions(predictor, whole), np.float64)
    half = count // 2
    fitted = jax.tree.map(lambda a: a[:half], whole)
    fresh = jax.tree.map(lambda a: a[half:], whole)
    matches = [
        _best(family, fitted, answers[:half], fresh, answers[half:], steps) for family in families
    ]
    order = {family.name: (len(family.settings), i) for i, family in enumerate(families)}
    matches.sort(key=lambda match: match.difference)
    best = matches[0].difference
    if not best <= tolerance:
        return Identification(NONE, tuple(matches), (), tolerance)
    near = [m for m in matches if m.difference <= max(AS_GOOD * best, EXACT)]
    near.sort(key=lambda match: order[match.family])
    rest = [m for m in matches if m not in near]
    alike = tuple(match.family for match in near)
    return Identification(alike[0], (*near, *rest), alike, tolerance)


def _best(
    family: Family,
    fitted: Prompt,
    answers: Float[np.ndarray, "b m p"],
    fresh: Prompt,
    fresh_answers: Float[np.ndarray, "c m p"],
    steps: int,
) -> Match:
    """The member of a family that is nearest on the prompts fitted, judged on fresh ones."""
    steps = steps if family.iterative else 1

    @jax.jit
    def differences(
        grid: Float[Array, "points settings"], prompts: Prompt, answers: Float[Array, "b m p"]
    ) -> Float[Array, "points s"]:
        def member(values):
            found = jax.vmap(lambda p: family.answers(tuple(values), p, steps))(prompts)
            return jnp.mean((found - answers[:, None]) ** 2, axis=(0, 2, 3))

        return jnp.sqrt(jax.lax.map(member, grid) / jnp.mean(answers**2))

    def errors(points, prompts, answers):
        inputs = (points, prompts, answers)
        found = np.asarray(in_precision(differences, "float64", *inputs))
        return np.where(np.isfinite(found), found, np.inf)

    logs = np.log(np.array(family.ranges(units(fitted))))
    chosen = [
        _refined(lambda p, s=s: errors(p, fitted, answers)[:, s], logs) for s in range(1, steps + 1)
    ]
    judged = errors(np.exp(np.stack(chosen)), fresh, fresh_answers)
    trained = errors(np.exp(np.stack(chosen)), fitted, answers)
    s = int(np.argmin(np.diagonal(trained, offset=1)))
    settings = dict(zip(family.settings, np.exp(chosen[s]).tolist(), strict=True))
    return Match(family.name, settings, s + 1, float(judged[s, s + 1]))


def _refined(errors, logs: Float[np.ndarray, "settings 2"]) -> Float[np.ndarray, " settings"]:
    """The best point of a grid, then of finer grids around it, in logarithms."""
    centre, reach = logs.mean(axis=1), (logs[:, 1] - logs[:, 0]) / 2
    points = POINTS[len(logs)]
    unit = np.stack(np.meshgrid(*[np.linspace(-1, 1, points)] * len(logs), indexing="ij"), -1)
    unit = unit.reshape(-1, len(logs))
    for _ in range(REFINEMENTS[len(logs)]):
        grid = np.clip(centre + unit * reach, logs[:, 0], logs[:, 1])
        centre = grid[int(np.argmin(errors(np.exp(grid))))]
        reach = reach * SHRINK / (points - 1)
    return centre
