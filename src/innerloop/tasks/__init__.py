"""Tasks: distributions over prompts, `task.sample(key=key) -> (prompt, yq)`, one family a file."""

from innerloop.tasks._covariates import Covariates as Covariates
from innerloop.tasks._covariates import rotated as rotated
from innerloop.tasks._decision_tree import DecisionTree as DecisionTree
from innerloop.tasks._gaussian_process import Covariance as Covariance
from innerloop.tasks._gaussian_process import GaussianProcess as GaussianProcess
from innerloop.tasks._linear_regression import LinearRegression as LinearRegression
from innerloop.tasks._linear_regression import von_oswald as von_oswald
from innerloop.tasks._network_teacher import NetworkTeacher as NetworkTeacher
from innerloop.tasks._pools import PromptPool as PromptPool
from innerloop.tasks._pools import TeacherPool as TeacherPool
from innerloop.tasks._quadratic import Quadratic as Quadratic
from innerloop.tasks._shifts import Mixture as Mixture
from innerloop.tasks._shifts import ScaledTargets as ScaledTargets
from innerloop.tasks._shifts import scale_inputs as scale_inputs
from innerloop.tasks._sine import CorrelatedSine as CorrelatedSine
from innerloop.tasks._sine import Sine as Sine
from innerloop.tasks._sparse_linear import SparseLinear as SparseLinear
from innerloop.tasks._task import AbstractTask as AbstractTask
from innerloop.tasks._task import Sample as Sample

TASKS: dict[str, type[AbstractTask]] = {
    "linear_regression": LinearRegression,
    "teacher_pool": TeacherPool,
    "prompt_pool": PromptPool,
    "sparse_linear": SparseLinear,
    "quadratic": Quadratic,
    "sine": Sine,
    "correlated_sine": CorrelatedSine,
    "gaussian_process": GaussianProcess,
    "network_teacher": NetworkTeacher,
    "decision_tree": DecisionTree,
    "scaled_targets": ScaledTargets,
    "mixture": Mixture,
}
"""Every family, by the name that configurations use."""
