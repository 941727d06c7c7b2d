"""The commands and their options; what a field's docstring says is what `--help` prints."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class Demo:
    """Compile the training of two networks into transformers, and watch them learn in one pass.

    On scikit-learn's diabetes (regression) and digits (ten classes). Prints the score after
    selected layers beside direct training, and writes report.html.
    """

    out: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("innerloop-demo")
    """Where the report, its numbers and the two models are written."""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Draws the initial weights and the split."""


@dataclass(frozen=True)
class Learn:
    """Compile the training of a network into a transformer, and give it a table as its prompt.

    The rows are split at random; the training part is the context, the rest are the queries. Writes
    predictions.csv (test rows, original units), the model and report.html.
    """

    data: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DATA.csv")]
    """A CSV file with a header line. Columns of text become one-hot covariates, or classes."""
    target: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="COL")] = ()
    """A column to predict (required); all other columns are covariates."""
    categorical: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="COL")
    ] = ()
    """A column of numbers that are names of categories, to be read as text."""
    model: Annotated[str, tyro.conf.arg(metavar="SPEC")] = "mlp:32"
    """linear, or mlp:32,32 for hidden ReLU layers of these sizes."""
    optimizer: Annotated[str, tyro.conf.arg(metavar="SPEC")] = "sgd:0.1"
    """NAME:RATE[,SETTING...], such as sgd:0.1, momentum:0.05,0.9 or adam:1e-2,b2=0.99. Names: sgd,
    momentum, nesterov, optimistic, sign_sgd, signum, lion, rprop, adam, adamw, nadam, nadamw,
    adamax, adamaxw, amsgrad, adabelief, radam, yogi, adan, optimistic_adam, ademamix, adopt,
    acprop, madgrad, rmsprop, adagrad, adadelta, adafactor, lamb, lars,
    novograd, muon, fromage."""
    loss: Annotated[str | None, tyro.conf.arg(metavar="SPEC")] = None
    """For numbers: squared (the default), absolute, huber[:DELTA], quantile[:LEVEL], poisson.
    For classes: softmax (the default), sigmoid, hinge."""
    steps: Annotated[int, tyro.conf.arg(metavar="K")] = 50
    """Training steps; each becomes a few layers of the transformer."""
    test_size: Annotated[float, tyro.conf.arg(metavar="SHARE")] = 0.2
    """The share of the rows kept for testing, between 0 and 1."""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Draws the initial weights and the split."""
    dtype: Literal["float64", "float32"] = "float64"
    """The precision of weights and arithmetic."""
    tolerance: Annotated[float, tyro.conf.arg(metavar="ERROR")] = 1e-6
    """The largest error of a smooth function (exp, 1/x, ...); less takes more neurons."""
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("innerloop-learn")
    """Where predictions, model and report are written."""


@dataclass(frozen=True)
class Show:
    """Print what every head and neuron of a saved model is for, and its certificate."""

    model: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MODEL")]
    """A directory written by `innerloop learn`, `innerloop demo` or `il.save`."""


@dataclass(frozen=True)
class Reproduce:
    """Compute what the papers of the field claim: paper said, we got, verdict.

    Claims run in parallel. Each result is stored as soon as it is there; a run that was stopped,
    however it was, goes on where it stood. Writes a page a paper, and index.html.
    """

    paper: tyro.conf.Positional[Annotated[tuple[str, ...], tyro.conf.arg(metavar="PAPER")]] = ()
    """Papers by first author and year, such as vonoswald2022; all of them when none is given."""
    claim: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="ID")] = ()
    """Only the claim of this name; may be given more than once."""
    scale: Literal["smoke", "small", "paper"] = "small"
    """smoke: seconds, small: minutes on a laptop, paper: what the paper spent."""
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("innerloop-reproduce")
    """Where results and pages are written, and looked for."""
    jobs: Annotated[int, tyro.conf.arg(metavar="N")] = -1
    """How many processes; -1 is one for each core."""
    list: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """List all claims, those that are not built yet included, and compute nothing."""


@dataclass(frozen=True)
class Train:
    """Train transformers to learn in context, from many seeds at once.

    Give a preset (vonoswald-one-layer, ahn-three-layers, cheng-three-layers, garg-tiny, ...), a
    configuration in JSON, or the folder of an earlier run. A run that was interrupted goes on from
    its last checkpoint when the same command is given again.
    """

    config: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="PRESET|CONFIG.json")]
    """A preset, a configuration, or the folder of a run."""
    set: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="FIELD=VALUE")
    ] = ()
    """Change a field: --set task.n=20 --set training.optimizer.learning_rate=1e-3."""
    seeds: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Train the seeds 0 to N - 1."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """The run's folder; innerloop-train/NAME by default."""
