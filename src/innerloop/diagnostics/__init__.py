"""Which learning algorithm a transformer runs, and how alike two predictors are."""

from innerloop.diagnostics._compare import Comparison as Comparison
from innerloop.diagnostics._compare import Mean as Mean
from innerloop.diagnostics._compare import compare as compare
from innerloop.diagnostics._compare import compare_with_controls as compare_with_controls
from innerloop.diagnostics._compare import mean_target as mean_target
from innerloop.diagnostics._families import FAMILIES as FAMILIES
from innerloop.diagnostics._families import Family as Family
from innerloop.diagnostics._families import Units as Units
from innerloop.diagnostics._families import of_learner as of_learner
from innerloop.diagnostics._identify import Identification as Identification
from innerloop.diagnostics._identify import Match as Match
from innerloop.diagnostics._identify import identify as identify
from innerloop.diagnostics._layers import LayerMatches as LayerMatches
from innerloop.diagnostics._layers import iterates as iterates
from innerloop.diagnostics._layers import match_layers as match_layers
from innerloop.diagnostics._layers import readouts as readouts
from innerloop.diagnostics._predictors import Predictor as Predictor
from innerloop.diagnostics._predictors import after as after
from innerloop.diagnostics._predictors import batch as batch
from innerloop.diagnostics._predictors import predictions as predictions
from innerloop.diagnostics._predictors import sensitivities as sensitivities
from innerloop.diagnostics._shift_curves import Curve as Curve
from innerloop.diagnostics._shift_curves import shift_curves as shift_curves
from innerloop.diagnostics._spectrum import Response as Response
from innerloop.diagnostics._spectrum import spectral_response as spectral_response
