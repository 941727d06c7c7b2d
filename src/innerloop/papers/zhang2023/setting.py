"""The covariance, the lengths and the budgets that these claims share."""

import numpy as np

N, SE = 10, 4.0
LAMBDA = np.diag([2.0, 1.0, 0.5, 0.25])
D = len(LAMBDA)
PROMPTS = {"smoke": 8000, "small": 80_000, "paper": 2_000_000}
BATCH = 4000
RESTATED = "the paper's formula as restated in lecture notes, derived again"
