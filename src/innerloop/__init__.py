"""Innerloop: how does a transformer learn inside its forward pass?"""

from innerloop.collectives import attend as attend
from innerloop.kernels import Kernel as Kernel
from innerloop.learners import Learner as Learner
from innerloop.learners import learner as learner
from innerloop.learners import run as run
from innerloop.learners import squared_error as squared_error
from innerloop.prompts import Prompt as Prompt
from innerloop.tokens import CONTEXT as CONTEXT
