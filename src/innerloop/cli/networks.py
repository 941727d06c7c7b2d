r"""The networks that the commands train: fully connected, ReLU, He initial weights.

h_0 = x,   h_k = relu(W_k h_{k-1} + b_k),   prediction = W_N h_{N-1} + b_N
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PyTree

from innerloop.cli.specs import LossSpec, ModelSpec, OptimizerSpec
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
    decay = spec.decay if spec.decay else None
    return optax.sgd(spec.learning_rate, momentum=decay, nesterov=spec.nesterov)


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


def loss_of(spec: LossSpec) -> Callable[[Array, Array], Array]:
    """The loss of one example that a specification names, summed over targets."""
    match spec.name:
        case "absolute":
            return lambda prediction, y: jnp.sum(jnp.abs(prediction - y))
        case "huber":
            return lambda prediction, y: huber_error(prediction, y, delta=spec.delta)
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
