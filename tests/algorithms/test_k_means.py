import numpy as np
from sklearn.cluster import KMeans

import innerloop as il
from innerloop.algorithms import k_means, soft_k_means
from tests.oracles import clusters
from tests.registries import CENTROIDS, regression


def test_lloyds_iterations(rng):
    prompt = regression(rng)
    expected = clusters.k_means(prompt, CENTROIDS, steps=5)
    found = il.run(k_means(CENTROIDS), prompt, steps=5)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    others = clusters.k_means(prompt, CENTROIDS * [1.0, 1.0, -1.0], steps=5)
    assert not np.allclose(found, others, rtol=1e-3)


def test_a_cluster_that_is_deserted_keeps_what_it_had():
    """The second centroid has the points (3, 12) and (5, 5) at first, and none from then on."""
    x = np.array([[7.0, 4.0], [3.0, 12.0], [6.0, 11.0], [5.0, 5.0], [8.0, 1.0]])
    centroids = np.array([[10.0, 4.0], [1.0, 4.0], [12.0, 12.0]])
    prompt = il.Prompt(x, x**2, [[4.0, 8.5], [7.0, 4.0]])
    found = il.run(k_means(centroids), prompt, steps=3)
    np.testing.assert_allclose(found, clusters.k_means(prompt, centroids, steps=3), rtol=1e-10)
    np.testing.assert_allclose(found[1:, 0], np.tile([(9 + 25) / 2, (144 + 25) / 2], (3, 1)))


def test_with_inputs_for_targets_it_quantises_as_scikit_learn_does(rng):
    prompt = regression(rng, n=31)
    found = il.run(k_means(CENTROIDS), il.Prompt(prompt.x, prompt.x, prompt.xq), steps=40)[-1]
    model = KMeans(5, init=CENTROIDS, n_init=1, tol=0.0, algorithm="lloyd").fit(prompt.x)
    np.testing.assert_allclose(found, model.cluster_centers_[model.predict(prompt.xq)], rtol=1e-10)


def test_soft_iterations(rng):
    prompt = regression(rng)
    expected = clusters.soft_k_means(prompt, CENTROIDS, 3.0, steps=5)
    found = il.run(soft_k_means(CENTROIDS, stiffness=3.0), prompt, steps=5)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    looser = clusters.soft_k_means(prompt, CENTROIDS, 2.9, steps=5)
    assert not np.allclose(found, looser, rtol=1e-3)


def test_a_stiff_assignment_is_the_hard_one():
    """Two groups far apart: at a stiffness of 10 no point is between the clusters."""
    x = np.array([[0.0], [1.0], [8.0], [9.0], [9.5]])
    prompt = il.Prompt(x, x**2, [[2.0], [7.0]])
    centroids = np.array([[0.2], [5.0]])
    hard = il.run(k_means(centroids), prompt, steps=5)
    stiff, loose = (
        il.run(soft_k_means(centroids, stiffness=s), prompt, steps=5) for s in (10.0, 0.01)
    )
    np.testing.assert_allclose(stiff, hard, rtol=1e-10)
    assert not np.allclose(loose, hard, rtol=1e-2)
