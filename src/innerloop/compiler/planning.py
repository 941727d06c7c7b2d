r"""From the three programs to their schedules: what a block does, and how many layers that takes.

expanded -> (ahead) -> wired -> scheduled
"""

from dataclasses import dataclass

from innerloop.compiler.expansion import Expansion
from innerloop.compiler.forms import Atom, Form
from innerloop.compiler.graph import Flags, Head, Program
from innerloop.compiler.neurons import LayerOperation
from innerloop.compiler.programs import Programs
from innerloop.compiler.schedule import Deadlock, Schedule, schedule
from innerloop.compiler.wiring import wire


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

    def depth(self, steps: int) -> int:
        """How many layers a forward pass takes, by the longest chain of each block."""
        times = {"step": steps}
        return sum(times.get(block.name, 1) * longest_chain(block) for block in self.run(steps))


def longest_chain(block: Block) -> int:
    """How many layers the results of a block take, one half-layer after the other.

    Its schedule has as many, but where an update must wait for the readers of what it overwrites.
    """
    ready: dict[Atom, int] = {}
    reads = [{atom for form in o.reads for atom in form.terms} for o in block.operations]
    for operation, atoms in zip(block.operations, reads, strict=True):
        time = 1 + max((ready.get(atom, -1) for atom in atoms), default=-1)
        time += (time % 2 == 0) != isinstance(operation, Head)
        ready[operation.out] = max(time, ready.get(operation.out, -1))
    elsewhere = set().union(*reads, block.output.terms if block.output else ())
    last = max((ready.get(a, -1) for a in (block.output.terms if block.output else ())), default=-1)
    for state, form in block.writes.items():
        for atom in form.terms:
            if atom in ready and atom is not state:
                copied = atom in elsewhere and ready[atom] % 2 == 1
                last = max(last, ready[atom] + 2 * copied)
        last = last if set(form.terms) == {state} else max(last, 1)
    return last // 2 + 1


def expanded(programs: Programs, expansion: Expansion) -> Blocks:
    """Every operation as heads and neurons."""

    def block(program: Program) -> Block:
        operations = tuple(expansion.expand(program.operations))
        return Block(program.block, operations, program.writes, program.output)

    return Blocks(block(programs.init), block(programs.step), block(programs.read_out))


def planned(block: Block, flags: Flags) -> Schedule:
    """The schedule; neurons write every update where heads and neurons would wait in a circle."""
    given = block.operations, block.writes, block.output, flags
    try:
        return schedule(wire(*given))
    except Deadlock:
        return schedule(wire(*given, update_by_attention=False))
