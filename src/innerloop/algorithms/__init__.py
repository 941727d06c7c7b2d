"""Learning algorithms that transformers are said to run in their forward pass, written for a token.

Each is a function that returns a `Learner`: run it on a prompt, or compile it into a transformer.
"""

from innerloop.algorithms._averaging import averaging as averaging
from innerloop.algorithms._chebyshev import chebyshev as chebyshev
from innerloop.algorithms._conjugate_gradient import conjugate_gradient as conjugate_gradient
from innerloop.algorithms._fista import fista as fista
from innerloop.algorithms._functional_gradient_descent import (
    functional_gradient_descent as functional_gradient_descent,
)
from innerloop.algorithms._gd_plus_plus import gd_plus_plus as gd_plus_plus
from innerloop.algorithms._gradient_descent import gradient_descent as gradient_descent
from innerloop.algorithms._heavy_ball import heavy_ball as heavy_ball
from innerloop.algorithms._ista import ista as ista
from innerloop.algorithms._k_means import k_means as k_means
from innerloop.algorithms._k_means import soft_k_means as soft_k_means
from innerloop.algorithms._kernel_ridge import kernel_ridge as kernel_ridge
from innerloop.algorithms._logistic_regression import logistic_regression as logistic_regression
from innerloop.algorithms._nadaraya_watson import nadaraya_watson as nadaraya_watson
from innerloop.algorithms._newton_schulz import newton_schulz as newton_schulz
from innerloop.algorithms._power_iteration import power_iteration as power_iteration
from innerloop.algorithms._preconditioned_gradient_descent import (
    preconditioned_gradient_descent as preconditioned_gradient_descent,
)
from innerloop.algorithms._recursive_least_squares import (
    recursive_least_squares as recursive_least_squares,
)
from innerloop.algorithms._ridge import ridge as ridge
