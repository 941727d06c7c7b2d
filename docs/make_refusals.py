# ruff: noqa: D103 (the programs below are the documentation)
"""Writes refusals.md: programs that the compiler refuses, and what it says.

python docs/make_refusals.py

Every message is the one that was raised; a test compares the page with a fresh run.
"""

import textwrap
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import innerloop as il

PAGE = Path(__file__).with_name("refusals.md")
HEAD = """# What the compiler refuses

Every operation that has no form as attention heads and neurons is named, all at once, with the line
of your code, the reason, and what to write instead. This page is written by
`docs/make_refusals.py`, which compiles every program below.
"""
Apply = Callable[[jax.Array, jax.Array], jax.Array]


def while_the_data_says(w: jax.Array, x: jax.Array) -> jax.Array:
    halved = jax.lax.while_loop(lambda h: jnp.sum(h) > 1.0, lambda h: 0.5 * h, x)
    return w @ jax.lax.stop_gradient(halved)


def a_branch_on_the_data(w: jax.Array, x: jax.Array) -> jax.Array:
    return jax.lax.cond(x[0] > 0.0, lambda h: h, lambda h: -h, w @ x)


def sorted_entries(w: jax.Array, x: jax.Array) -> jax.Array:
    return w @ jnp.sort(x)


def a_seed_from_the_data(w: jax.Array, x: jax.Array) -> jax.Array:
    key = jax.random.key(x[0].astype(jnp.int32))
    return w @ x + jax.random.normal(key, (2,))


def rounding(w: jax.Array, x: jax.Array) -> jax.Array:
    return w @ jnp.round(x)


def whole_numbers(w: jax.Array, x: jax.Array) -> jax.Array:
    return jnp.floor(w @ x)


def a_remainder(w: jax.Array, x: jax.Array) -> jax.Array:
    return w @ (x % 1.0)


def an_entry_chosen_by_the_data(w: jax.Array, x: jax.Array) -> jax.Array:
    return (w @ x) * x[jnp.argmax(x)]


def the_largest_two(w: jax.Array, x: jax.Array) -> jax.Array:
    return w[:, :2] @ jax.lax.top_k(x, 2)[0]


def a_convolution_with_parameters(w: jax.Array, x: jax.Array) -> jax.Array:
    return w @ x + jnp.convolve(x, w[0], mode="same")[:2]


def a_loop_too_long_to_write_out(w: jax.Array, x: jax.Array) -> jax.Array:
    return w @ jax.lax.fori_loop(0, 100_000, lambda k, h: h - 0.1 * jnp.tanh(h), x)


def random_numbers(w: jax.Array, x: jax.Array) -> jax.Array:
    return w @ x + jax.random.normal(jax.random.key(0), (2,))


def a_gradient_through_attention(w: jax.Array, x: jax.Array) -> jax.Array:
    return il.attend(w @ x, w @ x, w @ x)


def two_lines_at_once(w: jax.Array, x: jax.Array) -> jax.Array:
    h = jnp.floor(w @ x)
    return h + jnp.sort(x)[:2]


NETWORKS: tuple[Apply, ...] = (
    while_the_data_says,
    a_branch_on_the_data,
    sorted_entries,
    a_seed_from_the_data,
    rounding,
    whole_numbers,
    a_remainder,
    an_entry_chosen_by_the_data,
    the_largest_two,
    a_convolution_with_parameters,
    a_loop_too_long_to_write_out,
    random_numbers,
    a_gradient_through_attention,
    two_lines_at_once,
)


def the_number_of_examples(w: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    n = jax.lax.psum(1.0, il.CONTEXT)
    return w + n * jax.lax.pmean(jnp.outer(y, x), il.CONTEXT)


def the_root_of_their_number(w: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    root = jnp.sqrt(jax.lax.psum(1.0, il.CONTEXT))
    return w + jax.lax.pmean(jnp.outer(y, x), il.CONTEXT) / root


def a_shape_that_depends_on_the_prompt(w: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    everyone = jnp.zeros(jax.lax.axis_size(il.CONTEXT))
    return w + jax.lax.pmean(jnp.outer(y, x), il.CONTEXT) + everyone.sum()


def every_example_in_every_token(w: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    return w + jax.lax.all_gather(x, il.CONTEXT).mean(0)[None]


def the_place_in_the_prompt(w: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    place = jax.lax.axis_index(il.CONTEXT)
    return w + jax.lax.pmean(place * jnp.outer(y, x), il.CONTEXT)


def shared_state_of_a_single_token(w: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    return w + jnp.outer(y, x)


STEPS: tuple[Callable[[jax.Array, jax.Array, jax.Array], jax.Array], ...] = (
    the_number_of_examples,
    the_root_of_their_number,
    a_shape_that_depends_on_the_prompt,
    every_example_in_every_token,
    the_place_in_the_prompt,
    shared_state_of_a_single_token,
)


def stepping(step: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]) -> il.Learner:
    """A learner of one matrix."""
    return il.Learner(
        lambda x, y: (jnp.zeros((2, 3), x.dtype), ()),
        lambda w, local, x, y: (step(w, x, y), local),
        lambda w, local, x: w @ x,
    )


TENSOR = il.Learner(
    lambda x, y: ({"kernel": jnp.zeros((2, 3, 5), x.dtype)}, ()),
    lambda shared, local, x, y: (shared, local),
    lambda shared, local, x: shared["kernel"][:, :, 0] @ x,
)


def message(make: Callable[[], object]) -> str:
    """What compiling, or making the learner, answers."""
    try:
        make()
    except ValueError as error:
        return str(error)
    raise AssertionError("a program that should be refused was compiled")


def cases() -> dict[str, Callable[[], object]]:
    """The programs by title."""
    rng = np.random.default_rng(0)
    prompt = il.Prompt(rng.normal(size=(5, 3)), rng.normal(size=(5, 2)), rng.normal(size=(4, 3)))
    weights = rng.normal(size=(2, 3))

    def compiled(apply: Apply) -> Callable[[], object]:
        learner = il.learner(apply, weights, optimizer=optax.sgd(0.1))
        return lambda: il.compile(learner, steps=1, like=prompt)

    made = {apply.__name__.replace("_", " "): compiled(apply) for apply in NETWORKS}
    for step in STEPS:
        made[step.__name__.replace("_", " ")] = lambda step=step: il.compile(
            stepping(step), steps=1, like=prompt
        )
    made["state of rank three"] = lambda: il.compile(TENSOR, steps=1, like=prompt)
    made["parameters of rank three"] = lambda: il.learner(
        lambda w, x: w[0] @ x, np.zeros((2, 2, 3), np.float32), optimizer=optax.sgd(0.1)
    )
    return made


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for title, make in cases().items():
        text = textwrap.indent(message(make), "    ")
        parts.append(f"## {title.capitalize()}\n\n{text}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
