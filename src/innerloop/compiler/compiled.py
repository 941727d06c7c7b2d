r"""A compiled learner: a transformer, how a prompt becomes its tokens, and what its parts mean.

    tokens = [W_E [x; y; 1] for the data tokens; the registers],      prediction = W_U h

Axes: `r` residual width, `t` tokens, `R` registers, `n` context, `m` queries, `d`, `p`.
"""

import functools
import warnings
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from innerloop.compiler.allocate import Subspace
from innerloop.compiler.anatomy import Anatomy
from innerloop.compiler.assemble import Ramps
from innerloop.compiler.certificate import Certificate
from innerloop.compiler.runner import Runner, runner_of
from innerloop.models import Transformer, visit
from innerloop.precision import holds_numpy, in_precision, is_traced
from innerloop.prompts import Prompt
from innerloop.tokens import CONTEXT_ROLE, QUERY_ROLE, REGISTER_ROLE, SINK_ROLE, data_tokens


class RunWarning(UserWarning):
    """The certificate does not cover a run: the prediction may differ from the learner's."""


@dataclass(frozen=True)
class Sections:
    """How the depth is divided: `init + steps * step + read_out` layers."""

    init: int
    step: int
    steps: int
    read_out: int


@dataclass(frozen=True)
class RunReport:
    """What a run met that the certificate does not cover.

    Args:
        ramp_hits: How many pre-activations fell inside the ramp of a jump.
        outside: How many arguments of smooth functions fell outside the certified domain.
        layer: The layer with the most of either, from 1; 0 if there is none.
        finite: Whether all predictions are finite.
    """

    ramp_hits: int
    outside: int
    layer: int
    finite: bool

    @property
    def ok(self) -> bool:
        """Whether the certificate covers this run."""
        return self.ramp_hits == 0 and self.outside == 0 and self.finite

    def __str__(self) -> str:
        if not self.finite:
            return "the predictions are not finite: the learner itself diverges on this prompt"
        found = []
        if self.ramp_hits:
            found.append(f"{self.ramp_hits} pre-activations fell inside the ramp of a jump")
        if self.outside:
            found.append(
                f"{self.outside} arguments of smooth functions fell outside the certified domain"
            )
        if not found:
            return "the certificate covers this run: no ramp was met, no domain was left"
        return f"{' and '.join(found)}, most of them in layer {self.layer}"


class Compiled(eqx.Module):
    """A learner as a transformer.

    A model is a function and a PyTree. `jax.jit(model)` and `jax.vmap(model)` take its weights as
    constants and skip its zeros; `eqx.filter_jit(model)` takes them as arguments, and multiplies by
    every weight. Two models are equal if they are one object; `eqx.tree_equal` compares weights.

    Attributes:
        transformer: The weights; the same class as every other model.
        embed: `W_E`, from `[x; y; 1]` to the residual stream.
        registers: The register tokens at the start.
        sink: The sink token is `sink[0] + log(n) sink[1]`; None where attention needs none.
        unembed: `W_U`, from the residual stream to the prediction.
        ramps: By block of the bank, where jumps are not exact.
        sections: How the depth is divided.
        subspaces: What the coordinates hold, and when.
        parts: What every head and every group of neurons does.
        certificate: What is exact and what is bounded.
    """

    transformer: Transformer
    embed: Float[Array | np.ndarray, "r inputs"]
    registers: Float[Array | np.ndarray, "registers r"]
    sink: Float[Array | np.ndarray, "2 r"] | None
    unembed: Float[Array | np.ndarray, "p r"]
    ramps: Ramps
    sections: Sections = eqx.field(static=True)
    subspaces: tuple[Subspace, ...] = eqx.field(static=True)
    parts: Anatomy = eqx.field(static=True)
    certificate: Certificate = eqx.field(static=True)

    @property
    def depth(self) -> int:
        """Blocks of attention and MLP in all, the read-out's included."""
        return self.transformer.depth

    @property
    def width(self) -> int:
        """Residual width."""
        return self.embed.shape[0]

    @property
    def steps(self) -> int:
        """How many steps of the learner it takes."""
        return self.sections.steps

    @property
    def p(self) -> int:
        """Number of targets."""
        return self.unembed.shape[0]

    @property
    def d(self) -> int:
        """Number of covariates."""
        return self.embed.shape[1] - self.p - 1

    @property
    def dtype(self) -> str:
        """The precision of the weights and of the computation."""
        return str(self.embed.dtype)

    @property
    def residual_stream(self) -> dict[str, tuple[int, ...]]:
        """Coordinates by name; what lives in one block only is called `block/name`."""
        names: dict[str, tuple[int, ...]] = {}
        for space in self.subspaces:
            name = f"{space.block}/{space.name}" if space.block else space.name
            unique, k = name, 1
            while unique in names:
                k += 1
                unique = f"{name}#{k}"
            names[unique] = space.coordinates
        return names

    def anatomy(self) -> Anatomy:
        """What every head and every group of neurons computes, reads and writes."""
        return self.parts

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __call__(self, prompt: Prompt, *, dense: bool = False) -> Float[Array | np.ndarray, "m p"]:
        """The predictions at the queries after the last step.

        Args:
            prompt: Any number of context examples and queries.
            dense: Whether to multiply by every weight, zeros included.

        Returns:
            Predictions `(m, p)`; numpy where the prompt holds numpy arrays.

        Raises:
            ValueError: If the prompt's covariates or targets are not those of `like`.
        """
        predictions, hits = self._run(prompt, dense)
        if not is_traced((predictions, prompt)) and np.any(np.asarray(hits)):
            report = _report(predictions, hits)
            warnings.warn(f"{report}; see model.check(prompt).", RunWarning, stacklevel=2)
        return predictions

    def check(self, prompt: Prompt, *, dense: bool = False) -> RunReport:
        """Runs a prompt and says whether the certificate covers it.

        A pre-activation that reaches no prediction is not computed and not counted, unless `dense`.
        """
        return _report(*self._run(prompt, dense))

    def iterates(
        self, prompt: Prompt, *, dense: bool = False
    ) -> Float[Array | np.ndarray, "s m p"]:
        """The predictions after 0, 1, ..., `steps` steps, each read by the read-out's layers.

        Args:
            prompt: Any number of context examples and queries.
            dense: Whether to multiply by every weight, zeros included.

        Returns:
            Predictions `(steps + 1, m, p)`.
        """
        self._check_prompt(prompt)
        runner = None if dense else self._runner()
        every_weight = functools.partial(_iterates, self.sections, self.sink, *self._weights)
        return self._in_precision(runner.iterates if runner else every_weight, prompt)

    def _run(self, prompt: Prompt, dense: bool):
        self._check_prompt(prompt)
        runner = None if dense else self._runner()
        every_weight = functools.partial(_predictions, self.sink, *self._weights)
        return self._in_precision(runner.predictions if runner else every_weight, prompt)

    @property
    def _weights(self):
        return self.transformer, self.embed, self.registers, self.unembed, self.ramps

    def _runner(self) -> Runner | None:
        sections = self.sections
        transformer, embed, registers, unembed, ramps = self._weights
        weights = transformer, embed, registers, self.sink, unembed, ramps
        return runner_of(self, *weights, sections.init, sections.step, sections.steps)

    def _in_precision(self, function, prompt: Prompt):
        cast = jax.tree.map(lambda leaf: _as_dtype(leaf, self.dtype), prompt)
        out = in_precision(function, self.dtype, cast)
        traced = is_traced(prompt)
        return out if traced or not holds_numpy(prompt) else jax.tree.map(np.asarray, out)

    def _check_prompt(self, prompt: Prompt) -> None:
        if (prompt.d, prompt.p) != (self.d, self.p):
            raise ValueError(
                f"this model was compiled for d = {self.d} covariates and p = {self.p} targets; "
                f"the prompt has d = {prompt.d} and p = {prompt.p}. Compile again with `like` set "
                "to such a prompt; only n and m are free."
            )


def _as_dtype(leaf: Array | np.ndarray, dtype: str) -> Array | np.ndarray:
    return leaf if leaf.dtype == dtype or is_traced(leaf) else leaf.astype(dtype)


def _tokens(
    embed: Float[Array, "r inputs"],
    registers: Float[Array, "registers r"],
    sink: Float[Array, "2 r"] | None,
    prompt: Prompt,
) -> tuple[Float[Array, "t r"], Int[np.ndarray, " t"]]:
    """The residual stream before the first layer, and the role of each token."""
    x, y, is_context = data_tokens(prompt)
    ones = jnp.ones((len(x), 1), x.dtype)
    stream = jnp.concatenate([jnp.concatenate([x, y, ones], axis=1) @ embed.T, registers])
    roles = np.where(is_context, CONTEXT_ROLE, QUERY_ROLE)
    roles = np.concatenate([roles, np.full(len(registers), REGISTER_ROLE)])
    if sink is None:
        return stream, roles
    sees = jnp.asarray([1.0, np.log(prompt.n)], x.dtype) @ sink
    return jnp.concatenate([stream, sees[None]]), np.append(roles, SINK_ROLE)


@jax.jit
def _predictions(sink, transformer, embed, registers, unembed, ramps: Ramps, prompt: Prompt):
    """Predictions at the queries, and ramp hits layer by layer."""
    stream, roles = _tokens(embed, registers, sink, prompt)

    is_register, is_data = roles == REGISTER_ROLE, roles < REGISTER_ROLE
    row = jnp.asarray(np.cumsum(is_register) - 1)[:, None]

    def hits(stream, layer):
        here = jax.tree.map(lambda leaf: jnp.asarray(leaf, leaf.dtype)[layer, None], ramps)
        value = stream @ here.rows[0].T.astype(stream.dtype)
        inside = (here.low < value) & (value < here.high) & (value != here.jump)
        of_data = is_data[:, None] & (here.registers == 0)
        counted = of_data | (is_register[:, None] & (row < here.registers))
        met = inside & counted
        return jnp.stack([jnp.sum(met & ~here.outside), jnp.sum(met & here.outside)])

    order = np.asarray(transformer.order, np.int32)
    stream, counts = visit(transformer.blocks, order, stream, roles, prompt.n, hits)
    return stream[prompt.n : prompt.n + prompt.m] @ unembed.T, counts


@functools.partial(jax.jit, static_argnums=0)
def _iterates(
    sections: Sections,
    sink,
    transformer,
    embed,
    registers,
    unembed,
    ramps: Ramps,
    prompt: Prompt,
):
    """Predictions at the queries before each step and after the last."""
    del ramps
    stream, roles = _tokens(embed, registers, sink, prompt)
    order = np.asarray(transformer.order, np.int32)
    first, last = sections.init, len(order) - sections.read_out

    def through(stream, layers):
        return visit(transformer.blocks, layers, stream, roles, prompt.n)[0]

    def read(stream):
        out = through(stream, order[last:])
        return out[prompt.n : prompt.n + prompt.m] @ unembed.T

    def step(stream, layers):
        return through(stream, layers), read(stream)

    stream = through(stream, order[:first])
    steps = order[first:last].reshape(sections.steps, sections.step)
    stream, predictions = jax.lax.scan(step, stream, steps)
    return jnp.concatenate([predictions, read(stream)[None]])


def _report(predictions: Array | np.ndarray, hits: Array | np.ndarray) -> RunReport:
    counts = np.asarray(hits)
    ramp_hits, outside = (int(total) for total in counts.reshape(-1, 2).sum(axis=0))
    layer = int(counts.sum(axis=1).argmax()) + 1 if ramp_hits or outside else 0
    finite = bool(np.isfinite(np.asarray(predictions)).all())
    return RunReport(ramp_hits, outside, layer, finite)
