"""Runs a compiled model without multiplying by its zeros."""

from innerloop.compiler.runner.runner import Runner as Runner
from innerloop.compiler.runner.runner import runner_of as runner_of
