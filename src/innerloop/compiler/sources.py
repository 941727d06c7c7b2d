"""Where an operation comes from: the innermost line of the user's code, never JAX's own."""

import linecache
from pathlib import Path

import jax

from innerloop import collectives

_JAX = (str(Path(jax.__file__).parent), "jaxlib")
_COLLECTIVES = str(Path(collectives.__file__))
_TRACER = str(Path(__file__).with_name("trace.py"))


def source_of(eqn) -> str:
    """`file.py:12  the line`, for an equation of a trace; empty if JAX kept no record."""
    traceback = eqn.source_info.traceback
    if traceback is None:
        return ""
    for frame in traceback.frames:
        if frame.file_name.startswith(_JAX[0]) or _JAX[1] in frame.file_name:
            continue
        if frame.file_name == _COLLECTIVES:
            continue
        if frame.file_name == _TRACER or frame.file_name.startswith("<frozen"):
            return ""
        text = linecache.getline(frame.file_name, frame.line_num).strip()
        return f"{Path(frame.file_name).name}:{frame.line_num}  {text}".rstrip()
    return ""
