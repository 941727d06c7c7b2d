"""From a learner to the programs that a target computes."""

from innerloop.compiler.copies import copied
from innerloop.compiler.dual import dual
from innerloop.compiler.emulation import by_exponentials, unsupported
from innerloop.compiler.errors import CompileError
from innerloop.compiler.outline import layers_of_programs
from innerloop.compiler.programs import Programs, lower
from innerloop.compiler.trace import trace
from innerloop.learners import Learner
from innerloop.prompts import Prompt


def lowered_for(
    learner: Learner,
    like: Prompt,
    steps: int,
    *,
    attention: str,
    dual_form: bool,
    multiplies: bool = True,
) -> Programs:
    """The three programs of a learner, without what the target's attention cannot do.

    Args:
        learner: The learner.
        like: A prompt that gives the number of covariates and targets.
        steps: How many steps.
        attention: `linear`, `relu` or `softmax`.
        dual_form: Whether matrices are carried in their dual form, where they have one, or copied.
        multiplies: Whether neurons can multiply.

    Raises:
        CompileError: With every operation that cannot be compiled.
    """
    programs = lower(trace(learner, like), steps)
    if dual_form and steps > 0:
        programs = dual(programs)
        if multiplies:
            programs = copied(programs, lambda p: layers_of_programs(p, steps))
    refused = [] if attention == "linear" else unsupported(programs.operations, attention)
    if refused:
        raise CompileError(refused, len(programs.operations))
    if attention == "softmax":
        flags = programs.state.flags
        programs = programs.each(lambda program: by_exponentials(program, flags))
    return programs
