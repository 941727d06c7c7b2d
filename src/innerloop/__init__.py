"""Innerloop: how does a transformer learn inside its forward pass?

Names are looked up when they are first used (PEP 562), so that `import innerloop`, and with it
`innerloop --help`, does not wait for JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from innerloop.collectives import attend as attend
    from innerloop.compiler import BoundExceeded as BoundExceeded
    from innerloop.compiler import CompileError as CompileError
    from innerloop.compiler import RunWarning as RunWarning
    from innerloop.compiler import Softmax as Softmax
    from innerloop.compiler import certify as certify
    from innerloop.compiler import compile as compile
    from innerloop.compiler import enclose as enclose
    from innerloop.compiler import load as load
    from innerloop.compiler import save as save
    from innerloop.kernels import Kernel as Kernel
    from innerloop.learners import Learner as Learner
    from innerloop.learners import learner as learner
    from innerloop.learners import run as run
    from innerloop.learners import squared_error as squared_error
    from innerloop.prompts import Prompt as Prompt
    from innerloop.tokens import CONTEXT as CONTEXT
    from innerloop.training import train as train

_HOMES = {
    "BoundExceeded": "compiler",
    "CONTEXT": "tokens",
    "CompileError": "compiler",
    "Kernel": "kernels",
    "Learner": "learners",
    "Prompt": "prompts",
    "RunWarning": "compiler",
    "Softmax": "compiler",
    "attend": "collectives",
    "certify": "compiler",
    "compile": "compiler",
    "enclose": "compiler",
    "learner": "learners",
    "load": "compiler",
    "run": "learners",
    "save": "compiler",
    "squared_error": "learners",
    "train": "training",
}
_SUBPACKAGES = (
    "algorithms",
    "collectives",
    "compiler",
    "constructions",
    "diagnostics",
    "kernels",
    "learners",
    "models",
    "papers",
    "precision",
    "prompts",
    "report",
    "tasks",
    "tokens",
    "training",
)


def __getattr__(name: str) -> object:
    if name in _SUBPACKAGES:
        return import_module(f"innerloop.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'innerloop' has no attribute {name!r}")
    value = getattr(import_module(f"innerloop.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_SUBPACKAGES})
