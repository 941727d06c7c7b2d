"""The compiler: a learner in, a transformer out."""

from innerloop.compiler.certificate import Certificate as Certificate
from innerloop.compiler.compile import compile as compile
from innerloop.compiler.compiled import Compiled as Compiled
from innerloop.compiler.compiled import RunReport as RunReport
from innerloop.compiler.compiled import RunWarning as RunWarning
from innerloop.compiler.emulation import Softmax as Softmax
from innerloop.compiler.enclosure import Enclosure as Enclosure
from innerloop.compiler.enclosure import enclose as enclose
from innerloop.compiler.errors import CompileError as CompileError
from innerloop.compiler.measured import BoundExceeded as BoundExceeded
from innerloop.compiler.measured import certify as certify
from innerloop.compiler.storage import load as load
from innerloop.compiler.storage import save as save
