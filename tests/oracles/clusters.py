"""K-means by scipy, soft k-means by numpy's weighted average, one cluster at a time."""

import warnings

import numpy as np
from scipy.cluster.vq import kmeans2, vq
from scipy.spatial.distance import cdist
from scipy.special import softmax


def k_means(prompt, centroids, *, steps):
    """The mean target of the query's cluster after 0, ..., `steps` of Lloyd's iterations."""
    found = [np.zeros((prompt.m, prompt.p))]
    values = np.zeros((len(centroids), prompt.p))
    for k in range(1, steps + 1):
        with warnings.catch_warnings():  # an empty cluster stays where it is
            warnings.simplefilter("ignore", UserWarning)
            moved, labels = kmeans2(prompt.x, centroids, iter=k, minit="matrix", missing="warn")
        for cluster in np.unique(labels):
            values[cluster] = prompt.y[labels == cluster].mean(axis=0)
        found.append(values[vq(prompt.xq, moved)[0]])
    return np.stack(found)


def soft_k_means(prompt, centroids, stiffness, *, steps):
    values = np.zeros((len(centroids), prompt.p))
    found = [np.zeros((prompt.m, prompt.p))]
    for _ in range(steps):
        shares = softmax(-stiffness * cdist(prompt.x, centroids, "sqeuclidean"), axis=1)
        centroids = np.stack([np.average(prompt.x, axis=0, weights=w) for w in shares.T])
        values = np.stack([np.average(prompt.y, axis=0, weights=w) for w in shares.T])
        query = softmax(-stiffness * cdist(prompt.xq, centroids, "sqeuclidean"), axis=1)
        found.append(query @ values)
    return np.stack(found)
