"""How deep programs will be, before anything is measured on a sample prompt."""

import numpy as np

from innerloop.compiler.ahead import ahead
from innerloop.compiler.expansion import Expansion
from innerloop.compiler.planning import expanded
from innerloop.compiler.programs import Programs
from innerloop.compiler.smooth import smooth_operations
from innerloop.compiler.splines import Spline

_ANY = Spline(1.0, 0.0, 1, np.zeros(1), np.ones(1), np.ones(1), -1.0, 1.0, 0.0)
_WIDTHS = 1e-12, 1e-6, 2.0**-52


def layers_of_programs(programs: Programs, steps: int) -> int:
    """The layers of a forward pass; which spline a function has does not change them."""
    splines = {operation.out: _ANY for operation in smooth_operations(programs.operations)}
    blocks = expanded(programs, Expansion(programs.state.flags, *_WIDTHS, splines, fuses=True))
    return ahead(blocks, programs, steps).depth(steps)
