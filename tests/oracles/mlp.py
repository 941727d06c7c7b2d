"""A multilayer perceptron trained by hand: numpy, every derivative written out, one loop a step.

h_0 = x, z_l = h_{l-1} A_l^T + b_l, h_l = max(z_l, 0), the last layer linear; the loss is half the
squared error, summed over targets and averaged over the rows of x.
"""

import numpy as np


def draw(rng, sizes):
    """Weights `(out, in)` and biases `(out,)` for layers of the given sizes."""
    return [
        (rng.normal(size=(b, a)) / np.sqrt(a), 0.1 * rng.normal(size=b))
        for a, b in zip(sizes[:-1], sizes[1:], strict=True)
    ]


def forward(layers, x):
    """The activations of every layer, input first, prediction last."""
    activations = [x]
    for number, (weights, bias) in enumerate(layers, start=1):
        z = activations[-1] @ weights.T + bias
        activations.append(z if number == len(layers) else np.maximum(z, 0.0))
    return activations


def gradients(layers, x, y):
    """The mean loss's derivative by every weight and bias, by backpropagation."""
    activations = forward(layers, x)
    error = (activations[-1] - y) / len(x)
    found = []
    for number in range(len(layers) - 1, -1, -1):
        found.append((error.T @ activations[number], error.sum(axis=0)))
        error = (error @ layers[number][0]) * (activations[number] > 0)
    return found[::-1]


def train(
    layers, x, y, xq, *, steps, learning_rate, momentum=0.0, nesterov=False, weight_decay=0.0
):
    """Predictions at `xq` after 0, 1, ..., `steps` steps of (momentum) gradient descent.

    v <- g + momentum v, and the step is along v, or with Nesterov along g + momentum v;
    g includes weight_decay times the parameter.
    """
    parameters = [list(layer) for layer in layers]
    velocities = [[np.zeros_like(leaf) for leaf in layer] for layer in parameters]
    predictions = [forward(parameters, xq)[-1]]
    for _ in range(steps):
        slopes = gradients(parameters, x, y)
        for layer, velocity, slope in zip(parameters, velocities, slopes, strict=True):
            for i in range(2):
                g = slope[i] + weight_decay * layer[i]
                velocity[i] = g + momentum * velocity[i]
                direction = g + momentum * velocity[i] if nesterov else velocity[i]
                layer[i] = layer[i] - learning_rate * direction
        predictions.append(forward(parameters, xq)[-1])
    return np.stack(predictions)
