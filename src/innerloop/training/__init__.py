"""The outer loop: trains models to learn in context, many seeds at once."""

from innerloop.training.config import Curriculum as Curriculum
from innerloop.training.config import Optimizer as Optimizer
from innerloop.training.config import TrainingConfig as TrainingConfig
from innerloop.training.configurations import ConfigurationError as ConfigurationError
from innerloop.training.configurations import decode as decode
from innerloop.training.configurations import encode as encode
from innerloop.training.configurations import override as override
from innerloop.training.contexts import Contexts as Contexts
from innerloop.training.contexts import moments_loss as moments_loss
from innerloop.training.contexts import residual_maps as residual_maps
from innerloop.training.contexts import second_moments as second_moments
from innerloop.training.history import History as History
from innerloop.training.history import Record as Record
from innerloop.training.loop import Trained as Trained
from innerloop.training.loop import train as train
from innerloop.training.losses import expected_loss as expected_loss
from innerloop.training.losses import prefix_loss as prefix_loss
from innerloop.training.losses import query_loss as query_loss
from innerloop.training.population import gram_moments as gram_moments
from innerloop.training.population import population_loss as population_loss
from innerloop.training.presets import PRESETS as PRESETS
from innerloop.training.runs import Run as Run
from innerloop.training.runs import execute as execute
from innerloop.training.runs import read as read
