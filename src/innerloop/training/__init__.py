"""The outer loop: trains models to learn in context, many seeds at once."""

from innerloop.training.config import Curriculum as Curriculum
from innerloop.training.config import Optimizer as Optimizer
from innerloop.training.config import TrainingConfig as TrainingConfig
from innerloop.training.history import History as History
from innerloop.training.history import Record as Record
from innerloop.training.loop import Trained as Trained
from innerloop.training.loop import train as train
from innerloop.training.losses import expected_loss as expected_loss
from innerloop.training.losses import prefix_loss as prefix_loss
from innerloop.training.losses import query_loss as query_loss
from innerloop.training.population import gram_moments as gram_moments
from innerloop.training.population import population_loss as population_loss
