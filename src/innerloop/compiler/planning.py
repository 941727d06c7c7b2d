r"""From the three programs to their schedules: what a block does, and how many layers that takes.

expanded -> (ahead) -> wired -> scheduled
"""

from collections.abc import Sequence
from dataclasses import dataclass

from innerloop.compiler.expansion import Expansion
from innerloop.compiler.forms import Atom, Form
from innerloop.compiler.graph import Flags, Program
from innerloop.compiler.neurons import LayerOperation
from innerloop.compiler.programs import Programs
from innerloop.compiler.schedule import Deadlock, Schedule, layers_of, schedule
from innerloop.compiler.wiring import Wiring, wire


@dataclass(frozen=True)
class Block:
    """One of the three programs, as heads and neurons.

    Args:
        name: `init`, `step` or `read-out`.
        operations: In an order in which each reads only what stands before it.
        writes: New values of the state, as forms.
        output: The prediction, or None.
    """

    name: str
    operations: tuple[LayerOperation, ...]
    writes: dict[Atom, Form]
    output: Form | None = None


@dataclass(frozen=True)
class Blocks:
    """All that the transformer does.

    Args:
        init: What comes before the first step.
        step: A step.
        read_out: What comes after the last.
        kept: State that the blocks have beyond that of the programs.
    """

    init: Block
    step: Block
    read_out: Block
    kept: tuple[Atom, ...] = ()

    @property
    def begins_at_once(self) -> bool:
        """Whether the state before the first step is linear in a token, and can be embedded."""
        return not self.init.operations

    def run(self, steps: int) -> list[Block]:
        """The blocks that a forward pass runs through, each once."""
        begin = [] if self.begins_at_once else [self.init]
        return [*begin, *([self.step] if steps else []), self.read_out]

    def depth(self, steps: int, flags: Flags) -> int:
        """How many layers a forward pass takes."""
        times = {"step": steps}
        return sum(
            times.get(block.name, 1) * layers_of(wired(block, flags)) for block in self.run(steps)
        )


def expanded(programs: Programs, expansion: Expansion) -> Blocks:
    """Every operation as heads and neurons."""

    def block(program: Program) -> Block:
        operations = tuple(expansion.expand(program.operations))
        return Block(program.block, operations, program.writes, program.output)

    return Blocks(block(programs.init), block(programs.step), block(programs.read_out))


def wired(block: Block, flags: Flags) -> Wiring:
    """Who writes where; neurons write every update where heads and neurons wait in a circle."""
    given = block.operations, block.writes, block.output, flags
    wiring = wire(*given)
    try:
        layers_of(wiring)
    except Deadlock:
        return wire(*given, update_by_attention=False)
    return wiring


def planned(blocks: Sequence[Block], flags: Flags) -> list[Schedule]:
    """The schedule of each block."""
    return [schedule(wired(block, flags)) for block in blocks]
