"""`innerloop learn`: a CSV file becomes the prompt of a compiled transformer."""

import csv
import shlex
import time
from pathlib import Path

import numpy as np
from jaxtyping import Float

from innerloop.cli.commands import Learn
from innerloop.cli.errors import UserError, require_extra
from innerloop.cli.losses import parse_loss
from innerloop.cli.optimizers import parse_optimizer
from innerloop.cli.partition import partition, partitioned
from innerloop.cli.specs import parse_model
from innerloop.cli.tables import Table, read_table
from innerloop.cli.targets import loss_for
from innerloop.report import Split

MODEL, PREDICTIONS = "model", "predictions.csv"


def learn(command: Learn) -> int:
    """Runs the command.

    Args:
        command: Its options.

    Returns:
        The exit code, 0.

    Raises:
        UserError: If an option or the file is not as it must be.
    """
    started = time.perf_counter()
    model, optimizer = parse_model(command.model), parse_optimizer(command.optimizer)
    chosen = None if command.loss is None else parse_loss(command.loss)
    _check_numbers(command)
    table = read_table(command.data, command.target, command.categorical)
    loss = loss_for(table, chosen)
    split, remarks = partitioned(table, loss, test_size=command.test_size, seed=command.seed)
    require_extra("matplotlib", *(("sklearn",) if split.classification else ()))
    from innerloop.cli.experiment import STAGES, Recipe, experiment, keep, writable
    from innerloop.cli.printout import print_study, printer
    from innerloop.cli.progress import Stages
    from innerloop.cli.yardsticks import logistic, majority, ridge
    from innerloop.report import Results, covariate_cut, save_results, versions, write_report

    out = writable(command.out)
    settings = (command.steps, command.dtype, command.seed, command.tolerance)
    recipe = Recipe(model, optimizer, loss, *settings)
    with Stages(STAGES + 1) as stage:
        outcome = experiment(
            command.data.stem,
            recipe,
            split,
            covariate_cut(split),
            yardsticks=(majority(split), logistic(split))
            if split.classification
            else (ridge(split),),
            stage=stage,
        )
        stage("writing the report")
        test, _ = partition(table.rows, test_size=command.test_size, seed=command.seed)
        write = write_classes if split.classification else write_numbers
        answers = (outcome.transformer, outcome.direct)
        write(out / PREDICTIONS, table, split, test, *answers)
        keep(outcome.model, out / MODEL)
        results = Results(
            command=command_line(command),
            seed=command.seed,
            seconds=time.perf_counter() - started,
            versions=versions(),
            messages=remarks,
            studies=(outcome.study,),
        )
        save_results(results, out)
        report = write_report(out)
    console = printer()
    print_study(console, outcome.study)
    for remark in remarks:
        console.print(remark)
    console.print(f"Wrote {report}, {out / PREDICTIONS} and {out / MODEL}", soft_wrap=True)
    return 0


def _check_numbers(command: Learn) -> None:
    if command.steps < 0:
        raise UserError(f"--steps {command.steps} is negative; give 0 or more training steps")
    if not 0 < command.test_size < 1:
        raise UserError(
            f"--test-size {command.test_size:g} is not a share; give a number between 0 and 1"
        )
    if not 0 < command.tolerance < 1:
        raise UserError(
            f"--tolerance {command.tolerance:g} is no error; give a small number above 0, such as "
            "1e-6"
        )
    if command.seed < 0:
        raise UserError(f"--seed {command.seed} is negative; give 0 or more")


def write_numbers(
    path: Path,
    table: Table,
    split: Split,
    rows: np.ndarray,
    transformer: Float[np.ndarray, "m p"],
    direct: Float[np.ndarray, "m p"],
) -> None:
    """Writes a line for each test row: its number among the data rows, targets and predictions.

    Args:
        path: The file.
        table: The whole table.
        split: How it was split.
        rows: Which of its rows were tested, from 0.
        transformer: The transformer's predictions for them, original units.
        direct: Direct training's.
    """
    kinds = ("", "_transformer", "_direct")
    header = ["row", *(name + kind for name in split.targets for kind in kinds)]
    lines = []
    for i, row in enumerate(rows):
        truth = [table.columns[name][row] for name in split.targets]
        values = np.stack([truth, transformer[i], direct[i]], axis=1).ravel()
        lines.append([row + 1, *(repr(float(value)) for value in values)])
    _write(path, header, lines)


def write_classes(
    path: Path,
    table: Table,
    split: Split,
    rows: np.ndarray,
    transformer: Float[np.ndarray, "m p"],
    direct: Float[np.ndarray, "m p"],
) -> None:
    """Writes a line for each test row: its class, the predicted ones, and every class's answer.

    Args:
        path: The file.
        table: The whole table.
        split: How it was split; its targets are the classes.
        rows: Which of its rows were tested, from 0.
        transformer: The transformer's probabilities or scores for them.
        direct: Direct training's.
    """
    (name,) = table.targets
    kinds = ("_transformer", "_direct")
    what = "probability" if split.probabilistic else "score"
    header = ["row", name, *(name + kind for kind in kinds)]
    header += [f"{what}_{word}{kind}" for word in split.targets for kind in kinds]
    lines = []
    for i, row in enumerate(rows):
        best = [split.targets[int(part[i].argmax())] for part in (transformer, direct)]
        values = np.stack([transformer[i], direct[i]], axis=1).ravel()
        numbers = [repr(float(value)) for value in values]
        lines.append([row + 1, str(table.columns[name][row]), *best, *numbers])
    _write(path, header, lines)


def _write(path: Path, header: list[str], lines: list[list]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *lines])


def command_line(command: Learn) -> str:
    """The command line that repeats a run, with every option that matters written out."""
    words = ["innerloop", "learn", str(command.data)]
    for target in command.target:
        words += ["--target", target]
    for column in command.categorical:
        words += ["--categorical", column]
    words += ["--model", command.model, "--optimizer", command.optimizer]
    words += ["--loss", command.loss] if command.loss else []
    words += ["--steps", str(command.steps), "--test-size", f"{command.test_size:g}"]
    words += ["--seed", str(command.seed), "--dtype", command.dtype]
    words += ["--tolerance", f"{command.tolerance:g}"]
    return shlex.join(words)
