r"""What is exact, what is bounded, and on which domain.

A compiled model is exact up to rounding where every operation has an exact form. Two things are
stated beside that: the ramps that replace jumps, and the smooth functions replaced by hinges, each
with the interval on which its bound holds. What becomes of them together, step by step, is bounded
on the sample prompt, and on every prompt that `certify` is given; on random prompts from the box of
the samples it is measured.
"""

import math
from dataclasses import dataclass

from innerloop.compiler.box import Box

PRODUCT = "product"
"""The name of what is approximated where neurons cannot multiply."""


@dataclass(frozen=True)
class Approximation:
    """A smooth function replaced by hinges.

    Args:
        function: Its name.
        source: The line of the user's code.
        low: Where the bound begins to hold.
        high: Where it ends.
        error: The largest error on a fine grid between them, relative to `max(1, |f|)`.
        neurons: How many neurons it takes for each entry.
        entries: How many entries it is applied to.
        floor: The error is relative to `max(floor, |f|)`.
        enclosed: Whether the domain holds every prompt in the box of the samples, by interval
            arithmetic; otherwise it was measured on the samples.
    """

    function: str
    source: str
    low: float
    high: float
    error: float
    neurons: int
    entries: int
    floor: float = 1.0
    enclosed: bool = False

    def __str__(self) -> str:
        where = f"  at {self.source}" if self.source else ""
        kind = "of max(1, |f|)" if self.floor == 1.0 else "of |f|"
        return (
            f"{self.function} on [{self.low:.4g}, {self.high:.4g}]: error at most "
            f"{self.error:.2g} {kind} on a fine grid, {self.neurons} neurons for each of "
            f"{self.entries} entries{where}"
        )


@dataclass(frozen=True)
class Scores:
    """Softmax heads in place of linear ones.

    Args:
        beta: The largest score that a softmax sees beside its sink.
        sink: The sink's logit.
        order: The power of `beta` with which the error falls.
        heads: How many linear heads they stand for, in one step and the read-out.
        error: The largest error of a score, relative to the largest score on sample prompts.
    """

    beta: float
    sink: float
    order: int
    heads: int
    error: float

    def __str__(self) -> str:
        return (
            f"{self.heads} linear heads are {'pairs' if self.order == 2 else 'quadruples'} of "
            f"softmax heads: a score's error is at most {self.error:.1e} of the largest score "
            f"(beta {self.beta:.1e}, sink {self.sink:g})"
        )


@dataclass(frozen=True)
class Drawn:
    """Random prompts, with the largest relative differences from the learner over all steps.

    Args:
        prompts: How many were drawn.
        n: Context examples of each.
        m: Queries of each.
        covered: On how many no domain was left, no ramp was met, and the learner was finite.
        inside: The largest difference on these.
        outside: The largest on the others; infinite where one of the two is not finite.
    """

    prompts: int
    n: int
    m: int
    covered: int
    inside: float
    outside: float

    def __str__(self) -> str:
        text = (
            f"measured, not proved: on {self.prompts:,} random prompts ({self.n} examples, "
            f"{self.m} queries, uniform in the box of the sample prompts) "
        )
        if not self.covered:
            return text + f"relative difference {self.outside:.1e} at most; all leave a domain"
        text += f"relative difference {self.inside:.1e} at most"
        left = self.prompts - self.covered
        if left:
            text += f", {self.outside:.1e} on {left:,} of them that leave a domain or meet a ramp"
        return text


@dataclass(frozen=True)
class Certificate:
    """What a compiled model promises.

    Args:
        dtype: The precision of the weights.
        exact_operations: How many operations have an exact form.
        approximations: The others.
        gates: How many gates have a ramp in place of a jump.
        ramp: The width of a gate's ramp; outside it a gate is exact.
        step_ramp: The width of the ramp of a jump whose value is needed.
        measured: The largest difference from the learner itself, relative to its largest
            prediction, on the prompts that `certify` was given.
        prompts: How many these were.
        scores: What softmax attention costs; None where attention is exact.
        bound: The largest bound on that difference, computed for each of these prompts.
        tolerance: The error that splines were made for.
        sample_bounds: On the sample prompt, a bound on the difference from the learner after
            0, 1, ... steps, relative to its largest prediction, as far as it is below one.
        vacuous: Whether they end because the next is not; otherwise to save time.
        largest: The operation that the last of these comes from, followed back step by step.
        dual: Whether matrices are carried in their dual form.
        attention: The kind of attention.
        mlp: The kind of neurons.
        sizes: Of what the target emulates, in the order of operations; see `Emulated`.
        steps: How many steps the model takes.
        box: Of the sample prompts.
        examples: How many context examples the sample prompt has.
        queries: How many queries it has.
        drawn: What was measured on random prompts from the box.
    """

    dtype: str
    exact_operations: int
    approximations: tuple[Approximation, ...]
    gates: int
    ramp: float
    step_ramp: float
    measured: float | None = None
    prompts: int = 0
    scores: Scores | None = None
    bound: float | None = None
    tolerance: float = 1e-6
    sample_bounds: tuple[float, ...] = ()
    vacuous: bool = False
    largest: str = ""
    dual: bool = False
    attention: str = "linear"
    mlp: str = "reglu"
    sizes: tuple[tuple[float, ...], ...] = ()
    steps: int = 0
    box: Box | None = None
    examples: int = 1
    queries: int = 1
    drawn: Drawn | None = None

    @property
    def exact(self) -> bool:
        """Whether nothing but rounding and ramps separates the model from the learner."""
        return not self.approximations and self.scores is None

    def __str__(self) -> str:
        total = self.exact_operations + len(self.approximations)
        lines = [f"{self.exact_operations} of {total} operations exact up to {self.dtype} rounding"]
        if self.exact:
            lines[0] = f"exact: all {total} operations are, up to {self.dtype} rounding"
        if self.gates:
            lines.append(
                f"{self.gates} jumps are ramps: exact unless 0 < x < {self.ramp:.0e} where x gates "
                f"a value, or |x| < {self.step_ramp:.0e} where the jump itself is used"
            )
        lines += [str(item) for item in self.approximations]
        if proved := sum(item.enclosed for item in self.approximations):
            lines.append(
                f"of these {len(self.approximations)} intervals, {proved} proved by interval "
                "arithmetic, with ranges of functions on a fine grid, for every prompt in the box "
                "of the samples with no more examples than they, "
                f"{len(self.approximations) - proved} measured on the samples"
            )
        if self.scores is not None:
            lines.append(str(self.scores))
        lines.append(self._on_the_sample())
        if self.bound is not None and self.bound < 1.0:
            lines.append(
                f"proved likewise for each of {self.prompts} prompts: relative difference at most "
                f"{self.bound:.1e}"
            )
        elif self.bound is not None:
            size = "infinite" if math.isinf(self.bound) else f"{self.bound:.1e}"
            lines.append(
                f"nothing is proved of all {self.prompts} prompts: the largest bound is {size}"
            )
        if self.measured is not None:
            lines.append(
                f"measured, not proved: relative difference {self.measured:.1e} from the learner, "
                f"worst of {self.prompts} prompts"
            )
        if self.drawn is not None:
            lines.append(str(self.drawn))
        elif self.measured is None:
            lines.append("elsewhere nothing is measured or proved; il.certify does both")
        return "\n".join(lines)

    def _on_the_sample(self) -> str:
        """What is proved of the sample prompt: its first and its last bound, and where they end."""
        last, separates = len(self.sample_bounds) - 1, "rounding" if self.exact else "the errors"
        beyond = (
            f"{separates} could add up to more than the prediction itself, as far as a bound "
            "carried through every operation can tell: nothing is proved"
        )
        if last < 1 and self.steps and self.vacuous:
            return f"from step 1 on, {beyond}"
        if last < 0:
            return "nothing is proved of the sample prompt, on which the learner is not finite"
        known = "".join(
            f", {self.sample_bounds[k]:.1e} after step {k}" for k in sorted({min(1, last), last})
        )
        text = (
            "proved for the sample prompt (256 examples of a longer one), if the learner's own "
            "float64 is right to eight roundings an operation: relative difference at most "
            f"{known.removeprefix(', ')}, mostly from {self.largest}"
        )
        if last == self.steps:
            return text
        return f"{text}; from step {last + 1} on, {beyond if self.vacuous else 'not computed'}"
