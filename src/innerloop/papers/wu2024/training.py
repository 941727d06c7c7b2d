"""Wu et al.: the baseline of Figures 3 and 4, a network trained on the examples of one prompt.

Not stated in the paper and chosen here: Adam with step size 5e-3 on the whole prompt, PyTorch's
initialisation, teachers of width 100 with a linear output and outputs of variance `|x|^2`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from innerloop.papers.claims import Claim, Outcome, Scale, near
from innerloop.papers.wu2024.experiments import CURVES
from innerloop.report.canvas import QUIET, TEST

if TYPE_CHECKING:
    from matplotlib.figure import Figure

D, TEACHER, HIDDEN, DEPTH, STEPS, RATE = 20, 100, 200, 3, 100, 5e-3
TASKS = {"smoke": 16, "small": 64, "paper": 1280}
EXAMPLES = {"smoke": (50,), "small": (5, 20, 50), "paper": (5, 10, 20, 30, 40, 50, 75)}
ROOM = 0.1


def network(
    parameters: Sequence[tuple[Float[Array, "a b"], Float[Array, " b"]]], x: Float[Array, "n d"]
) -> Float[Array, " n"]:
    """ReLU layers with biases, the last one linear, of a single output."""
    for weight, bias in parameters[:-1]:
        x = jax.nn.relu(x @ weight + bias[None])
    weight, bias = parameters[-1]
    return (x @ weight + bias[None])[:, 0]


def start(key: Array) -> list[tuple[Float[Array, "a b"], Float[Array, " b"]]]:
    """PyTorch's default: all weights and biases uniform, up to one over the root of the fan-in."""
    sizes, found = (D, HIDDEN, HIDDEN, 1), []
    for a, b, k in zip(sizes[:-1], sizes[1:], jax.random.split(key, DEPTH), strict=True):
        drawn = jax.random.uniform(k, (a + 1, b), minval=-1.0, maxval=1.0) / a**0.5
        found.append((drawn[:a], drawn[a]))
    return found


def trained_prediction(
    key: Array, x: Float[Array, "n d"], y: Float[Array, " n"], query: Float[Array, "1 d"]
) -> Float[Array, ""]:
    """What the network says of the query after training on the prompt."""
    optimizer = optax.adam(RATE)

    def step(state, _):
        parameters, moments = state
        slopes = jax.grad(lambda p: jnp.mean((network(p, x) - y) ** 2))(parameters)
        updates, moments = optimizer.update(slopes, moments)
        parameters = jax.tree.map(lambda p, u: p + u, parameters, updates)
        return (parameters, moments), None

    parameters = start(key)
    state = (parameters, optimizer.init(parameters))
    (parameters, _), _ = jax.lax.scan(step, state, length=STEPS)
    return network(parameters, query)[0]


def trained_network(scale: Scale) -> Outcome:
    """R² at the query over tasks, for several numbers of examples."""
    rng, tasks = np.random.default_rng(3), TASKS[scale]
    train = jax.jit(jax.vmap(trained_prediction))
    keys = jax.random.split(jax.random.key(0), tasks)
    found, checks = [], []
    printed = np.array([CURVES[f"{a}, 3 layers"]["trainedNN"] for a in ("ReLU", "softmax")])
    for k in EXAMPLES[scale]:
        x = rng.normal(-2, 1, size=(tasks, k + 1, D)).astype(np.float32)
        p = x
        for size in (D, TEACHER)[: DEPTH - 1]:
            drawn = rng.normal(size=(tasks, size, TEACHER)) * np.sqrt(2 / TEACHER)
            p = np.maximum(p @ drawn, 0)
        y = (p @ rng.normal(size=(tasks, TEACHER, 1)))[..., 0].astype(np.float32)
        y *= np.float32(TEACHER**-0.5)
        said = np.asarray(train(keys, x[:, :-1], y[:, :-1], x[:, -1:]))
        truth = y[:, -1]
        r2 = float(1 - np.mean((said - truth) ** 2) / np.var(truth))
        about = float(printed[:, max(k - 2, 1) : k + 3].mean())
        name = f"R² after {k} examples"
        checks.append(near(name, r2, about, absolute=ROOM, said=f"{about:.2f}"))
        found.append(r2)
    arrays = {
        "examples": np.array(EXAMPLES[scale]),
        "found": np.array(found),
        "printed": printed,
    }
    settings = {"tasks": tasks, "hidden": HIDDEN, "teacher": TEACHER, "steps": STEPS, "rate": RATE}
    return Outcome(tuple(checks), arrays, settings, seeds=(0, 3))


def draw_trained_network(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Our networks over the two printed curves."""
    axes = figure.subplots()
    for curve, style in zip(arrays["printed"], ("-", "--"), strict=True):
        label = "printed, Figure 3" if style == "-" else "printed, Figure 4"
        axes.plot(np.arange(1, len(curve)), curve[1:], style, color=QUIET, label=label)
    axes.plot(arrays["examples"], arrays["found"], "o", color=TEST, label="ours")
    axes.set_xlabel("examples")
    axes.set_ylabel("R²")
    axes.legend(frameon=False)


CLAIMS = (
    Claim(
        id="figures-3-4-network",
        statement="A three-layer network with 200 hidden units, trained for 100 epochs on the "
        "examples of a prompt, predicts the query with the R² of the printed curves.",
        place="Figures 3a and 4a, curve of the trained network",
        tolerance="a tenth of R²: the two printed curves of the same network differ by .03, and "
        "optimiser, step size and teacher are not stated",
        measure=trained_network,
        draw=draw_trained_network,
        caption="R² at the query of networks trained on the prompt, over the curves as printed.",
        dtype="float32",
        least="small",
    ),
    Claim(
        id="figures-2-4-trained",
        statement="Transformers of twelve layers trained on prompts of 3-, 4- and 6-layer "
        "networks reach the R² of networks trained on the prompt.",
        place="Figures 2 to 4",
        tolerance="0.05 of R² on the training distribution; the order of the four input mixtures",
        trains=True,
    ),
    Claim(
        id="figures-5-6-trained",
        statement="Trained transformers predict networks whose parameters have another mean.",
        place="Figures 5 and 6",
        tolerance="a tenth of R² against the unshifted teachers; teachers that are zero left out",
        trains=True,
    ),
    Claim(
        id="figure-7-trained",
        statement="Deeper transformers are better: R² grows from 4 to 10 layers.",
        place="Figure 7",
        tolerance="at least .03 of R² from 4 to 10 layers, for 15, 30 and 45 examples",
        trains=True,
    ),
)
