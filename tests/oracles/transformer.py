"""A transformer in numpy loops, one token and one head at a time, straight from the formulas.

Weights are dicts of arrays of one layer; roles are 0 (context), 1 (query), 2 (register).
"""

import math

import numpy as np

QUERY = 1


def score(kernel, key, query):
    """One kernel value; for softmax, before the weights are normalised."""
    dot = sum(k * q for k, q in zip(key, query, strict=True))
    match kernel.name:
        case "linear":
            return dot
        case "relu":
            return max(dot, 0.0)
        case "exp" | "softmax":
            return math.exp(dot)
        case "rbf":
            distance = sum((k - q) ** 2 for k, q in zip(key, query, strict=True))
            return math.exp(-distance / (2.0 * kernel.bandwidth**2))
    raise AssertionError(kernel)


def attention(weights, kernel, tokens, roles, n):
    """What the heads add: `sum_heads W_O c sum_j kernel(W_K h_j, W_Q h_i) W_V h_j`."""
    added = np.zeros_like(tokens)
    for h in range(len(weights["W_Q"])):
        for i, reader in enumerate(tokens):
            if not weights["readers"][h][roles[i]]:
                continue
            query = weights["W_Q"][h] @ reader
            total, norm = np.zeros(len(weights["W_V"][h])), 0.0
            for j, source in enumerate(tokens):
                if not weights["sources"][h][roles[j]]:
                    continue
                weight = score(kernel, weights["W_K"][h] @ source, query)
                total = total + weight * (weights["W_V"][h] @ source)
                norm += weight
            if kernel.name == "softmax":
                total = total / norm
            if weights["averages"][h]:
                total = total / n
            added[i] += weights["W_O"][h] @ total
    return added


def gelu(x):
    """The tanh form."""
    return 0.5 * x * (1.0 + math.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def neurons(weights, activation, tokens):
    """What the MLP adds, neuron by neuron."""
    added = np.zeros_like(tokens)
    for i, token in enumerate(tokens):
        added[i] += weights["b_out"]
        for f in range(len(weights["b_in"])):
            value = weights["W_in"][f] @ token + weights["b_in"][f]
            match activation:
                case "relu":
                    hidden = max(value, 0.0)
                case "reglu":
                    gate = weights["W_gate"][f] @ token + weights["b_gate"][f]
                    hidden = max(gate, 0.0) * value
                case _:
                    hidden = gelu(value)
            added[i] += weights["W_out"][:, f] * hidden
    return added


def layer_norm(gain, shift, tokens):
    """Each token with mean 0 and variance 1, then scaled and shifted."""
    out = np.zeros_like(tokens)
    for i, token in enumerate(tokens):
        mean = sum(token) / len(token)
        variance = sum((v - mean) ** 2 for v in token) / len(token)
        out[i] = gain * (token - mean) / math.sqrt(variance + 1e-5) + shift
    return out
