"""`innerloop learn`: a CSV file becomes the prompt of a compiled transformer."""

import csv
import shlex
import time
from pathlib import Path

import numpy as np
from jaxtyping import Float

from innerloop.cli.commands import Learn
from innerloop.cli.errors import UserError, require_extra
from innerloop.cli.partition import partition, partitioned
from innerloop.cli.specs import parse_loss, parse_model, parse_optimizer
from innerloop.cli.tables import Table, read_table

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
    specs = (
        parse_model(command.model),
        parse_optimizer(command.optimizer),
        parse_loss(command.loss),
    )
    _check_numbers(command)
    table = read_table(command.data, command.target)
    split, remarks = partitioned(table, test_size=command.test_size, seed=command.seed)
    require_extra("matplotlib")
    from innerloop.cli.experiment import STAGES, Recipe, experiment, keep, writable
    from innerloop.cli.printout import printer, score_table
    from innerloop.cli.progress import Stages
    from innerloop.cli.yardsticks import ridge
    from innerloop.report import Results, covariate_cut, save_results, versions, write_report

    out = writable(command.out)
    with Stages(STAGES + 1) as stage:
        outcome = experiment(
            command.data.stem,
            Recipe(*specs, command.steps, command.dtype, command.seed),
            split,
            covariate_cut(split),
            yardsticks=(ridge(split),),
            stage=stage,
        )
        stage("writing the report")
        test, _ = partition(len(table.x), test_size=command.test_size, seed=command.seed)
        write_predictions(out / PREDICTIONS, table, test, outcome.transformer, outcome.direct)
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
    console.print(score_table(outcome.study))
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
    if command.seed < 0:
        raise UserError(f"--seed {command.seed} is negative; give 0 or more")


def write_predictions(
    path: Path,
    table: Table,
    rows: np.ndarray,
    transformer: Float[np.ndarray, "m p"],
    direct: Float[np.ndarray, "m p"],
) -> None:
    """Writes a line for each test row: its number among the data rows, targets and predictions.

    Args:
        path: The file.
        table: The whole table.
        rows: Which of its rows were tested, from 0.
        transformer: The transformer's predictions for them, original units.
        direct: Direct training's.
    """
    kinds = ("", "_transformer", "_direct")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["row", *(name + kind for name in table.targets for kind in kinds)])
        for i, row in enumerate(rows):
            values = np.stack([table.y[row], transformer[i], direct[i]], axis=1).ravel()
            writer.writerow([row + 1, *(repr(float(value)) for value in values)])


def command_line(command: Learn) -> str:
    """The command line that repeats a run, with every option that matters written out."""
    words = ["innerloop", "learn", str(command.data)]
    for target in command.target:
        words += ["--target", target]
    words += ["--model", command.model, "--optimizer", command.optimizer, "--loss", command.loss]
    words += ["--steps", str(command.steps), "--test-size", f"{command.test_size:g}"]
    words += ["--seed", str(command.seed), "--dtype", command.dtype]
    return shlex.join(words)
