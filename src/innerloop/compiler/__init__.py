"""The compiler: a learner in, a transformer out."""

from innerloop.compiler.certificate import Certificate as Certificate
from innerloop.compiler.compile import compile as compile
from innerloop.compiler.compiled import Compiled as Compiled
from innerloop.compiler.compiled import RampWarning as RampWarning
from innerloop.compiler.compiled import RunReport as RunReport
from innerloop.compiler.errors import CompileError as CompileError
