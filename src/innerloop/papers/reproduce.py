"""Runs claims in parallel over processes; what is in the store already is not run again."""

import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from innerloop.papers.claims import Claim, Item, Outcome, Paper, Scale
from innerloop.papers.registry import paper
from innerloop.papers.results import Result, Store, fingerprint, versions
from innerloop.papers.verdicts import Verdict, can_run, verdict


@dataclass(frozen=True)
class Row:
    """A claim with its result and verdict.

    Args:
        paper: The paper.
        claim: The claim.
        result: What it gave; None where it was not run.
        verdict: What is said of it.
    """

    paper: Paper
    claim: Claim
    result: Result | None
    verdict: Verdict


def measured(claim: Claim, scale: Scale) -> Outcome:
    """Runs one claim here, in its precision.

    Args:
        claim: A claim that is built.
        scale: How much to spend on it.

    Returns:
        What it found.

    Raises:
        ValueError: If the claim is not built.
    """
    if claim.measure is None:
        raise ValueError(f"the claim {claim.id} is not built yet: it has nothing to run")
    with jax.enable_x64(claim.dtype == "float64"):
        return claim.measure(scale)


def missing(items: Sequence[Item], scale: Scale, directory: Path) -> list[Item]:
    """The claims that can run at this scale and have no result yet, or one that failed."""
    store = Store(directory)
    found = []
    for item in items:
        if can_run(item.claim, scale):
            result = store.load(item.paper.key, item.claim, scale)
            if result is None or result.outcome is None:
                found.append(item)
    return found


def run_missing(
    items: Sequence[Item],
    scale: Scale,
    directory: Path,
    *,
    jobs: int = -1,
    done: Callable[[Result], None] = lambda result: None,
) -> None:
    """Computes what is missing, in several processes.

    Claims that share what they train are computed one after the other in one of them. Those that
    train are begun with, since they take longest.

    Every result is written to `directory` by the process that found it, as soon as it has; a run
    that is killed loses only the claims that were being computed.

    Args:
        items: The claims wanted.
        scale: How much to spend on each.
        directory: The store of results.
        jobs: How many processes; -1 for one for each core.
        done: Called with each result as it comes.
    """
    from joblib import Parallel, delayed  # noqa: PLC0415 (an extra, needed here only)

    wanted = missing(items, scale, directory)
    if jobs == 1:
        for item in wanted:
            done(_run(item.paper.key, item.claim.id, scale, directory))
        return
    parallel: Any = Parallel  # its annotations refuse an integer batch size
    pool = parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
    tasks = (delayed(_run_all)(key, names, scale, directory) for key, names in together(wanted))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="A worker stopped")  # it is started again
        for results in pool(tasks):
            for result in results:
                done(result)


def together(items: Sequence[Item]) -> list[tuple[str, tuple[str, ...]]]:
    """What one process computes: a paper's key, and names of its claims.

    Claims of one module that train share their trainings, and are not taken apart.

    Args:
        items: The claims wanted.

    Returns:
        Those that train first; otherwise in the order given.
    """
    groups: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        shared = item.claim.measure.__module__ if item.claim.trains else item.claim.id
        groups.setdefault((item.paper.key, shared), []).append(item)
    ordered = sorted(groups.values(), key=lambda group: not group[0].claim.trains)
    return [(group[0].paper.key, tuple(item.claim.id for item in group)) for group in ordered]


def rows(items: Sequence[Item], scale: Scale, directory: Path) -> Iterator[Row]:
    """Every claim with what the store holds of it."""
    store = Store(directory)
    for item in items:
        runs = can_run(item.claim, scale)
        result = store.load(item.paper.key, item.claim, scale) if runs else None
        yield Row(item.paper, item.claim, result, verdict(item.claim, result, scale))


def _run_all(key: str, names: tuple[str, ...], scale: Scale, directory: Path) -> list[Result]:
    return [_run(key, name, scale, directory) for name in names]


def _run(key: str, name: str, scale: Scale, directory: Path) -> Result:
    claim = paper(key).claim(name)
    started, outcome, error = time.perf_counter(), None, ""
    try:
        outcome = measured(claim, scale)
    except Exception:
        error = traceback.format_exc()
    seconds = time.perf_counter() - started
    result = Result(key, name, scale, outcome, error, seconds, versions(), fingerprint())
    Store(directory).save(result)
    return result
