r"""The networks that the commands train: fully connected, ReLU, He initial weights.

h_0 = x,   h_k = relu(W_k h_{k-1} + b_k),   prediction = W_N h_{N-1} + b_N
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PyTree

from innerloop.cli.losses import LossSpec
from innerloop.cli.optimizers import OptimizerSpec
from innerloop.cli.specs import ModelSpec
from innerloop.learners import Learner, learner, squared_error

Parameters = list[dict[str, Float[np.ndarray, "..."]]]


def he_initial(sizes: tuple[int, ...], *, seed: int) -> Parameters:
    r"""He initial weights: normal with variance `2 / inputs`, and `1 / inputs` in the last layer.

    Args:
        sizes: Covariates, hidden units, ..., targets. With no hidden layer the weights are zero,
            as is usual for a linear model.
        seed: The seed.

    Returns:
        A matrix `W` and a bias `b` of zeros for every layer.

    Example:
        >>> [layer["W"].shape for layer in he_initial((5, 3, 2), seed=0)]
        [(3, 5), (2, 3)]
    """
    random = np.random.default_rng(seed)
    last = len(sizes) - 2
    scales = [np.sqrt((2.0 if k < last else 1.0) / a) for k, a in enumerate(sizes[:-1])]
    if last == 0:
        scales = [0.0]
    shapes = zip(scales, sizes[1:], sizes[:-1], strict=True)
    return [{"W": scale * random.normal(size=(b, a)), "b": np.zeros(b)} for scale, b, a in shapes]


def network(params: PyTree, x: Float[Array, " d"]) -> Float[Array, " p"]:
    """The network's prediction for one example."""
    *hidden, last = params
    for layer in hidden:
        x = jax.nn.relu(layer["W"] @ x + layer["b"])
    return last["W"] @ x + last["b"]


def optimizer_of(spec: OptimizerSpec) -> optax.GradientTransformation:
    """The optax optimiser that a specification names."""
    home, _, name = spec.rule.function.rpartition(".")
    make = getattr(optax.contrib if home == "contrib" else optax, name)
    (_, rate), *others = spec.given
    return make(learning_rate=rate, **dict(others), **spec.rule.fixed)


def huber_error(
    prediction: Float[Array, " p"], y: Float[Array, " p"], *, delta: float
) -> Float[Array, ""]:
    """Huber's loss of one example: half the squared error up to `delta`, linear beyond.

    Example:
        >>> import jax.numpy as jnp
        >>> float(huber_error(jnp.array([3.0]), jnp.array([0.0]), delta=1.0))
        2.5
    """
    error = jnp.abs(prediction - y)
    near = jnp.minimum(error, delta)
    return jnp.sum(0.5 * near**2 + delta * (error - near))


def quantile_error(
    prediction: Float[Array, " p"], y: Float[Array, " p"], *, level: float
) -> Float[Array, ""]:
    """The pinball loss, least where a share `level` of the targets lies below the prediction.

    Example:
        >>> import jax.numpy as jnp
        >>> float(quantile_error(jnp.array([3.0]), jnp.array([5.0]), level=0.75))
        1.5
    """
    error = y - prediction
    return jnp.sum(jnp.maximum(level * error, (level - 1.0) * error))


def loss_of(spec: LossSpec) -> Callable[[Array, Array], Array]:
    """The loss of one example that a specification names, summed over targets or classes.

    Classes are one-hot. `hinge` and `sigmoid` hold every class against the rest; under `poisson`
    the prediction is the logarithm of a rate.
    """
    match spec.name:
        case "absolute":
            return lambda prediction, y: jnp.sum(jnp.abs(prediction - y))
        case "huber":
            return lambda prediction, y: huber_error(prediction, y, delta=spec.setting)
        case "quantile":
            return lambda prediction, y: quantile_error(prediction, y, level=spec.setting)
        case "poisson":
            return lambda prediction, y: jnp.sum(jnp.exp(prediction) - y * prediction)
        case "softmax":
            return optax.softmax_cross_entropy
        case "sigmoid":
            return lambda prediction, y: jnp.sum(optax.sigmoid_binary_cross_entropy(prediction, y))
        case "hinge":
            return lambda prediction, y: jnp.sum(jax.nn.relu(1.0 - (2.0 * y - 1.0) * prediction))
        case _:
            return squared_error


def network_learner(
    model: ModelSpec, optimizer: OptimizerSpec, loss: LossSpec, *, d: int, p: int, seed: int
) -> Learner:
    """Full-batch training of the network on the context, as a learner.

    Args:
        model: Its hidden layers.
        optimizer: The optimiser.
        loss: The loss of one example.
        d: Number of covariates.
        p: Number of targets.
        seed: Draws the initial weights.

    Returns:
        A learner for `il.run` and `il.compile`.
    """
    params = he_initial((d, *model.hidden, p), seed=seed)
    return learner(network, params, optimizer=optimizer_of(optimizer), loss=loss_of(loss))
