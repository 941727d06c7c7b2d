"""`innerloop demo`: two real data sets, two networks, and transformers that train them."""

import shlex
import time

from innerloop.cli.commands import Demo
from innerloop.cli.errors import UserError, require_extra
from innerloop.cli.optimizers import parse_optimizer
from innerloop.cli.specs import ModelSpec

DIABETES = (ModelSpec((16,)), parse_optimizer("sgd:0.2"), 50)
DIGITS = (ModelSpec((32,)), parse_optimizer("nesterov:0.2,0.9"), 100)
MORPH = (3, 8)


def demo(command: Demo) -> int:
    """Runs the command.

    Args:
        command: Its options.

    Returns:
        The exit code, 0.

    Raises:
        UserError: If scikit-learn or matplotlib is missing, or `--out` cannot be written.
    """
    started = time.perf_counter()
    if command.seed < 0:
        raise UserError(f"--seed {command.seed} is negative; give 0 or more")
    require_extra("sklearn", "matplotlib")
    from innerloop.cli.datasets import diabetes, digits
    from innerloop.cli.experiment import STAGES, Recipe, experiment, keep, writable
    from innerloop.cli.losses import LossSpec
    from innerloop.cli.printout import print_study, printer
    from innerloop.cli.progress import Stages
    from innerloop.cli.yardsticks import scikit_learn
    from innerloop.report import (
        Results,
        covariate_cut,
        image_cut,
        save_results,
        versions,
        write_report,
    )

    out, console, studies = writable(command.out), printer(), []
    with Stages(2 * (STAGES + 1) + 1) as stage:
        for name, (model, optimizer, steps) in (("diabetes", DIABETES), ("digits", DIGITS)):
            stage(f"{name}: scikit-learn's yardsticks")
            split = diabetes(command.seed) if name == "diabetes" else digits(command.seed)
            outcome = experiment(
                name,
                Recipe(model, optimizer, LossSpec("squared"), steps, "float64", command.seed),
                split,
                image_cut(split, (8, 8), MORPH) if split.classification else covariate_cut(split),
                yardsticks=scikit_learn(split, model.hidden, seed=command.seed),
                stage=stage,
            )
            keep(outcome.model, out / name)
            studies.append(outcome.study)
            print_study(console, outcome.study)
        stage("writing the report")
        results = Results(
            command=shlex.join(["innerloop", "demo", "--seed", str(command.seed)]),
            seed=command.seed,
            seconds=time.perf_counter() - started,
            versions=versions(),
            messages=(),
            studies=tuple(studies),
        )
        save_results(results, out)
        report = write_report(out)
    console.print(f"Wrote {report}; open it in a browser.", soft_wrap=True)
    return 0
