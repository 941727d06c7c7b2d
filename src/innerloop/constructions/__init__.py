"""Weights written down by hand, one theorem of the literature a file, as objects that run.

Each function returns a `Construction`: a transformer that answers prompts, `construction(prompt)`.
"""

from innerloop.constructions._construction import Construction as Construction
from innerloop.constructions._convex_gradient_descent import SIGMOID_CURVATURE as SIGMOID_CURVATURE
from innerloop.constructions._convex_gradient_descent import SQUARED as SQUARED
from innerloop.constructions._convex_gradient_descent import Term as Term
from innerloop.constructions._convex_gradient_descent import (
    convex_gradient_descent as convex_gradient_descent,
)
from innerloop.constructions._convex_gradient_descent import logistic as logistic
from innerloop.constructions._copying import copying_gradient_descent as copying_gradient_descent
from innerloop.constructions._deep_bounds import Smoothness as Smoothness
from innerloop.constructions._deep_bounds import StepErrors as StepErrors
from innerloop.constructions._deep_bounds import printed_errors as printed_errors
from innerloop.constructions._deep_bounds import sigmoid_smoothness as sigmoid_smoothness
from innerloop.constructions._deep_bounds import step_errors as step_errors
from innerloop.constructions._deep_bounds import trajectory_bound as trajectory_bound
from innerloop.constructions._deep_features import Features as Features
from innerloop.constructions._deep_features import deep_features as deep_features
from innerloop.constructions._deep_gradient_descent import (
    deep_gradient_descent as deep_gradient_descent,
)
from innerloop.constructions._deep_softmax import deep_softmax as deep_softmax
from innerloop.constructions._deep_standard import deep_standard as deep_standard
from innerloop.constructions._deep_tokens import NO_ACTIVATION as NO_ACTIVATION
from innerloop.constructions._deep_tokens import Activation as Activation
from innerloop.constructions._deep_tokens import relu as relu
from innerloop.constructions._deep_tokens import sigmoid as sigmoid
from innerloop.constructions._entry import Entry as Entry
from innerloop.constructions._functional_gradient_descent import KernelHead as KernelHead
from innerloop.constructions._functional_gradient_descent import (
    functional_gradient_descent as functional_gradient_descent,
)
from innerloop.constructions._gd_plus_plus import gd_plus_plus as gd_plus_plus
from innerloop.constructions._gradient_descent import gradient_descent as gradient_descent
from innerloop.constructions._hinges import Hinges as Hinges
from innerloop.constructions._hinges import interpolant as interpolant
from innerloop.constructions._hinges import interpolation_error as interpolation_error
from innerloop.constructions._hinges import intervals_needed as intervals_needed
from innerloop.constructions._interpolation import interpolated as interpolated
from innerloop.constructions._interpolation import rescaled as rescaled
from innerloop.constructions._lasso import lasso as lasso
from innerloop.constructions._mesa import autoregressive_step as autoregressive_step
from innerloop.constructions._mesa import chebyshev_coefficients as chebyshev_coefficients
from innerloop.constructions._mesa import mesa_layer as mesa_layer
from innerloop.constructions._mesa import momentum_inverse as momentum_inverse
from innerloop.constructions._newton import newton as newton
from innerloop.constructions._one_layer_optimum import Limit as Limit
from innerloop.constructions._one_layer_optimum import Optimum as Optimum
from innerloop.constructions._one_layer_optimum import gradient_flow_limit as gradient_flow_limit
from innerloop.constructions._one_layer_optimum import linear_optimum as linear_optimum
from innerloop.constructions._one_layer_optimum import prompt_risk as prompt_risk
from innerloop.constructions._one_layer_optimum import relu_optimum as relu_optimum
from innerloop.constructions._one_layer_optimum import shift_bias as shift_bias
from innerloop.constructions._online import online_gradient_descent as online_gradient_descent
from innerloop.constructions._online import sherman_morrison as sherman_morrison
from innerloop.constructions._preconditioned_gradient_descent import (
    preconditioned_gradient_descent as preconditioned_gradient_descent,
)
from innerloop.constructions._registry import CONSTRUCTIONS as CONSTRUCTIONS
from innerloop.constructions._selection import select_ridge as select_ridge
from innerloop.constructions._softmax_pair import (
    softmax_gradient_descent as softmax_gradient_descent,
)
from innerloop.constructions._spectral_loss import Schedule as Schedule
from innerloop.constructions._spectral_loss import best_schedule as best_schedule
from innerloop.constructions._spectral_loss import error_factors as error_factors
from innerloop.constructions._spectral_loss import spectra as spectra
from innerloop.constructions._spectral_loss import spectral_loss as spectral_loss
from innerloop.constructions._two_layer_network import two_layer_network as two_layer_network
from innerloop.constructions._whitened_loss import SpectralOptimum as SpectralOptimum
from innerloop.constructions._whitened_loss import best_spectral_steps as best_spectral_steps
from innerloop.constructions._whitened_loss import spectral_residuals as spectral_residuals
from innerloop.constructions._whitened_loss import whitened_spectra as whitened_spectra
