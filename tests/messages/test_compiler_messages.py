"""What a user reads whose learner, prompt or target the compiler cannot use."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import innerloop as il

PROMPT = il.Prompt(np.ones((5, 3)), np.ones((5, 2)), np.ones((7, 3)))
WEIGHTS = np.ones((2, 3))


def line_of(function, text):
    """`file:line` of the line of a function that holds some text."""
    lines, start = inspect.getsourcelines(function)
    (found,) = [start + k for k, line in enumerate(lines) if text in line]
    return f"test_compiler_messages.py:{found}"


def network(apply, **settings):
    return il.learner(apply, WEIGHTS, optimizer=optax.sgd(0.1), **settings)


def stepping(step):
    """A learner of one matrix, which it changes by `step(w, x, y)`."""
    return il.Learner(
        lambda x, y: (jnp.zeros((2, 3), x.dtype), ()),
        lambda w, local, x, y: (step(w, x, y), local),
        lambda w, local, x: w @ x,
    )


def refusal(learner):
    with pytest.raises(il.CompileError) as caught:
        il.compile(learner, steps=2, like=PROMPT)
    return caught.value


def several(w, x):
    h = jnp.floor(w @ x)
    g = jnp.sort(w @ x)
    return h + g + jnp.cumprod(x)[:2]


def test_all_refusals_come_at_once_each_with_its_line():
    error = refusal(network(several))
    text = str(error)
    for code in ("jnp.floor", "jnp.sort"):
        assert line_of(several, code) in text
    assert text.splitlines()[0].startswith(f"{len(text.splitlines()) - 1} of ")
    assert {"floor", "sort"} <= {refusal.operation for refusal in error.refusals}
    assert all(part.reason and part.instead for part in error.refusals)


def test_one_line_is_named_once_however_often_it_runs():
    def apply(w, x):
        for _ in range(3):
            x = x + jnp.floor(x)
        return w @ x

    text = str(refusal(network(apply)))
    assert text.startswith("1 of ") and len(text.splitlines()) == 2


def test_what_follows_from_a_refused_operation_is_not_blamed():
    def apply(w, x):
        h = jnp.sort(w @ x)
        return jnp.abs(h) * h - h[::-1]

    assert {part.operation for part in refusal(network(apply)).refusals} == {"sort"}


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (
            lambda w, x: w @ x[jnp.argsort(x)],
            r"sort \(test_compiler_messages\.py:\d+  .*\): sorting is not a sum over tokens",
        ),
        (
            lambda w, x: jax.lax.cond(x[0] > 0.0, lambda h: h, lambda h: -h, w @ x),
            r"cond .*looking at the data\. Use jnp\.where",
        ),
        (
            lambda w, x: jax.lax.while_loop(
                lambda h: jnp.sum(h) > 1.0, lambda h: h / 2, jax.lax.stop_gradient(w @ x)
            ),
            r"while .*as long as the data says\. Use lax\.fori_loop or lax\.scan with a fixed",
        ),
        (lambda w, x: w @ jnp.round(x), r"round .*jumps at every half-integer"),
        (lambda w, x: w @ (x % 1.0), r"rem .*jumps at every multiple"),
        (lambda w, x: jax.lax.top_k(w @ x, 2)[0], r"top_k .*picks entries by rank"),
        (
            lambda w, x: w[:, x[0].astype(jnp.int32)],
            r"(dynamic_slice|gather|convert_element_type) .*test_compiler_messages",
        ),
        (
            lambda w, x: w @ jnp.convolve(x, w[0], mode="same"),
            r"conv_general_dilated .*Write it as a matrix product over patches",
        ),
        (
            lambda w, x: jnp.linalg.solve(w[:, :2] + 3 * jnp.eye(2), w @ x),
            r"lu .*test_compiler_messages.*no lowering is known for it",
        ),
    ],
)  # fmt: skip
def test_operations_without_a_form_say_what_to_write(apply, message):
    assert_matches(refusal(network(apply)), message)


def assert_matches(error, message):
    with pytest.raises(type(error), match=message):
        raise error


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            lambda w, x, y: w + jax.lax.psum(1.0, il.CONTEXT) * jax.lax.pmean(x[0], il.CONTEXT),
            r"uses the number of context examples as a number.*Use jax\.lax\.pmean",
        ),
        (
            lambda w, x, y: w + jax.lax.pmax(x[0], il.CONTEXT),
            r"pmax .*no lowering is known",
        ),
        (
            lambda w, x, y: w + jax.lax.all_gather(x, il.CONTEXT).mean(0)[None],
            r"all_gather .*copies every token into every token\. Use il\.attend, psum or pmean",
        ),
        (
            lambda w, x, y: jax.lax.psum(w + jax.lax.pmean(y[0] * x, il.CONTEXT)[None], il.CONTEXT),
            r"psum .*all tokens share is a multiple of their number",
        ),
    ],
)  # fmt: skip
def test_what_tokens_may_not_say_to_one_another(step, message):
    assert_matches(refusal(stepping(step)), message)


def test_parameters_of_rank_three_are_refused_by_the_learner():
    with pytest.raises(ValueError, match=r"rank 0 to 2; the leaf at the root .*\(2, 3, 5\)"):
        il.learner(lambda w, x: w[0] @ x, np.ones((2, 3, 5)), optimizer=optax.sgd(0.1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": -1}, r"steps must be at least 0; got -1"),
        ({"attention": "sigmoid"}, r"attention='sigmoid' is not a target of the compiler"),
        ({"mlp": "swiglu"}, r"mlp='swiglu' is not a target of the compiler"),
        ({"tie": "knotted"}, r"tie='knotted' is not a target of the compiler"),
        ({"dtype": "float16"}, r"dtype='float16' is not a target.*'float64' or 'float32'"),
    ],
)
def test_targets_that_do_not_exist_are_named(settings, message):
    learner = network(lambda w, x: w @ x)
    with pytest.raises(ValueError, match=message):
        il.compile(learner, like=PROMPT, **{"steps": 1, **settings})


@pytest.mark.parametrize(
    ("learner", "message"),
    [
        (network(lambda w, x: (w @ x)[0]), r"predict must return one vector of shape \(2,\)"),
        (
            il.Learner(
                lambda x, y: ((), ()), lambda w, local, x, y: (w, local), lambda w, local, x: x
            ),
            r"predict must return one vector of shape \(2,\).*float64\[3\]",
        ),
        (
            stepping(lambda w, x, y: jnp.concatenate([w, w])),
            r"must return the state as it received it; init gave .*\[2, 3\].*gave .*\[4, 3\]",
        ),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit_are_shown(learner, message):
    with pytest.raises(ValueError, match=message):
        il.compile(learner, steps=1, like=PROMPT)


@pytest.mark.parametrize("method", ["__call__", "iterates", "check"])
def test_a_prompt_of_another_kind_says_what_the_model_was_made_for(method):
    model = il.compile(network(lambda w, x: w @ x), steps=1, like=PROMPT)
    other = il.Prompt(np.ones((5, 4)), np.ones((5, 2)), np.ones((7, 4)))
    with pytest.raises(ValueError, match=r"d = 3 covariates and p = 2 targets; .*d = 4 and p = 2"):
        getattr(model, method)(other)


@pytest.mark.parametrize(
    ("learner", "message"),
    [
        pytest.param(
            stepping(
                lambda w, x, y: w + jax.lax.pmean(jnp.outer(y, x), il.CONTEXT)
                / jnp.sqrt(jax.lax.psum(1.0, il.CONTEXT))
            ),
            r"number of context examples",
            id="the root of n",

        ),
        pytest.param(
            stepping(
                lambda w, x, y: w + jax.lax.psum(jnp.outer(y, x), il.CONTEXT)
                / (jax.lax.psum(1.0, il.CONTEXT) + 1.0)
            ),
            r"number of context examples",
            id="n plus one",

        ),
        pytest.param(
            network(lambda w, x: w @ x.astype(jnp.int32).astype(x.dtype)),
            r"integer",
            id="a number cut to an integer",
        ),
        pytest.param(
            network(
                lambda w, x: w @ x,
                loss=lambda a, y: jnp.sum(
                    (a - y) ** 2 * jax.random.bernoulli(jax.random.key(0), 0.5, (2,))
                ),
            ),
            r"random",
            id="random numbers from a fixed key",

        ),
        pytest.param(
            stepping(
                lambda w, x, y: w
                + jax.lax.pmean(x[0] * jax.lax.axis_index(il.CONTEXT), il.CONTEXT)
            ),
            r"tokens of a prompt have no order",
            id="the place of a token",

        ),
        pytest.param(
            stepping(lambda w, x, y: w + jnp.outer(y, x)),
            r"depends on a single token",
            id="shared state that depends on a token",
        ),
        pytest.param(network(lambda w, x: w @ jnp.cumprod(x)), r"cumprod", id="cumprod"),
        pytest.param(
            il.Learner(
                lambda x, y: (jnp.zeros((2, 3, 5)), ()),
                lambda w, local, x, y: (w + jax.lax.pmean(x[0], il.CONTEXT), local),
                lambda w, local, x: w[:, :, 0] @ x,
            ),
            r"more than two axes",
            id="state of rank three",

        ),
    ],
)  # fmt: skip
def test_what_would_go_wrong_silently_is_refused(learner, message):
    with pytest.raises(ValueError, match=message):
        il.compile(learner, steps=2, like=PROMPT)


def test_a_learner_that_needs_no_layer_has_none():
    learner = il.Learner(
        lambda x, y: ((), ()), lambda w, local, x, y: (w, local), lambda w, local, x: 2.0 * x[:2]
    )
    model = il.compile(learner, steps=2, like=PROMPT)
    np.testing.assert_allclose(model(PROMPT), 2.0 * np.ones((7, 2)))


def examples():
    """The number of context examples, where `step` is traced or run."""
    return jax.lax.psum(1.0, il.CONTEXT)


def total(x, y):
    return jax.lax.psum(jnp.outer(y, x), il.CONTEXT)


MEANS = {
    "divided by 2 n": lambda w, x, y: w + total(x, y) / (2 * examples()),
    "times 1 / n": lambda w, x, y: w + total(x, y) * (1 / examples()),
    "1 / n times": lambda w, x, y: w + jnp.divide(0.5, examples()) * total(x, y),
    "the axis size": lambda w, x, y: w + total(x, y) / jax.lax.axis_size(il.CONTEXT),
    "at least one": lambda w, x, y: w + total(x, y) / jnp.maximum(examples(), 1.0),
    "the mean of a constant": lambda w, x, y: w + jax.lax.pmean(jnp.full((2, 3), 0.1), il.CONTEXT),
    "n over n": lambda w, x, y: w + total(x, y) / (examples() * (examples() / examples())),
    "inside jit": lambda w, x, y: w + jax.jit(lambda s: s / (3 * examples()))(total(x, y)),
}  # fmt: skip


@pytest.mark.parametrize("step", MEANS.values(), ids=MEANS)
def test_every_way_to_write_a_mean_compiles_for_any_number_of_examples(step):
    rng = np.random.default_rng(3)
    learner = stepping(step)
    model = il.compile(learner, steps=2, like=PROMPT)
    for n in (1, 2, 13):
        prompt = il.Prompt(*(rng.normal(size=shape) for shape in ((n, 3), (n, 2), (4, 3))))
        truth = il.run(learner, prompt, steps=2)[-1]
        np.testing.assert_allclose(model(prompt), truth, atol=1e-12)
        assert np.abs(truth).max() > 0.01


COUNTS = {
    "n times a mean": lambda w, x, y: w + examples() * jax.lax.pmean(jnp.outer(y, x), il.CONTEXT),
    "the sum of a constant": lambda w, x, y: w + jax.lax.psum(jnp.full((2, 3), 0.1), il.CONTEXT),
    "n in the state": lambda w, x, y: jnp.ones((2, 3)) * examples(),
    "n as a condition": lambda w, x, y: w + jnp.where(examples() > 3, 0.1, 0.2),
    "at least ten": lambda w, x, y: w + total(x, y) / jnp.maximum(examples(), 10.0),
    "n inside jit": lambda w, x, y: w + jax.jit(lambda s: s / (examples() + 1))(total(x, y)),
    "n inside a loop": lambda w, x, y: jax.lax.fori_loop(
        0, 3, lambda k, w: w + total(x, y) / jnp.log(examples()), w
    ),
    "n in a list": lambda w, x, y: w + total(x, y) / jnp.stack([examples(), 1.0, 2.0])[None],
    "a shape": lambda w, x, y: w + jnp.zeros(int(examples())).sum(),
    "a number of loops": lambda w, x, y: jax.lax.fori_loop(
        0, int(examples()), lambda k, w: 1.1 * w, w
    ),
}  # fmt: skip


@pytest.mark.parametrize("step", COUNTS.values(), ids=COUNTS)
def test_no_weight_depends_on_the_number_of_examples(step):
    assert_matches(refusal(stepping(step)), r"number of context examples")


def test_the_line_that_uses_the_number_is_named():
    def step(w, x, y):
        many = examples() + 1.0
        return w + total(x, y) / many

    assert line_of(step, "/ many") in str(refusal(stepping(step)))


@pytest.mark.parametrize("key", [jax.random.key(0), jax.random.PRNGKey(0)], ids=["new", "old"])
def test_a_key_from_outside_or_in_the_state_draws_nothing(key):
    def step(w, x, y):
        return w + jax.lax.pmean(x[0] * jax.random.normal(key, ()), il.CONTEXT)

    keyed = il.Learner(
        lambda x, y: ((jnp.zeros((2, 3)), key), ()),
        lambda s, local, x, y: ((s[0] + jax.random.normal(s[1], ()), s[1]), local),
        lambda s, local, x: s[0] @ x,
    )
    for learner in (stepping(step), keyed):
        assert_matches(refusal(learner), r"random.* draws random numbers, .*pass them as params")


def test_local_state_may_have_three_axes():
    learner = il.Learner(
        lambda x, y: ((), jnp.zeros((2, 3, 2))),
        lambda shared, local, x, y: (shared, local + x[:2, None, None]),
        lambda shared, local, x: local[:, 1, 1],
    )
    model = il.compile(learner, steps=2, like=PROMPT)
    np.testing.assert_allclose(model(PROMPT), 2.0)


ATTENDING = il.learner(
    lambda w, x: il.attend(w @ x, w @ x, w @ x), WEIGHTS, optimizer=optax.sgd(0.1)
)
MAPPED = stepping(
    lambda w, x, y: w + jax.vmap(lambda v: il.attend(v, v, x))(jnp.stack([x, x]))
)  # fmt: skip


@pytest.mark.parametrize(
    "use", [il.run, lambda *a, steps: il.compile(a[0], steps=steps, like=a[1])]
)
@pytest.mark.parametrize(("learner", "what"), [(ATTENDING, "grad"), (MAPPED, "vmap")])
def test_attention_is_not_differentiated_or_mapped(use, learner, what):
    with pytest.raises(
        ValueError, match=rf"il\.attend was called inside jax\.{what}.*pmean of each"
    ):
        use(learner, PROMPT, steps=1)


def test_attention_beside_a_gradient_is_welcome():
    learner = network(lambda w, x: w @ x + il.attend(x, x, x)[:2])
    model = il.compile(learner, steps=2, like=PROMPT)
    truth = il.run(learner, PROMPT, steps=2)
    np.testing.assert_allclose(model.iterates(PROMPT), truth, rtol=1e-12)


def test_a_loop_that_is_too_long_to_write_out_is_refused_at_once():
    def apply(w, x):
        def inner(k, h):
            return jax.lax.fori_loop(0, 300, lambda k, h: h - 0.1 * jnp.tanh(h), h)

        return w @ jax.lax.fori_loop(0, 300, inner, x)

    message = (
        r"scan .*written out it has [\d,]+ operations, .* at most 20,000 .*step of the learner"
    )
    assert_matches(refusal(network(apply)), message)
