r"""Which half-layer does what: attention of layer `l` is time `2 l`, its MLP is time `2 l + 1`.

Everything runs as soon as its inputs are there, so depth is the critical path. An update waits for
the last reader of what it overwrites. Then results are moved later, as far as their readers allow,
wherever that keeps fewer numbers in the residual stream.
Axes: `l` layers of a block.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from innerloop.compiler.forms import Atom, Form
from innerloop.compiler.merge import merged
from innerloop.compiler.neurons import Neurons
from innerloop.compiler.wiring import Wired, Wiring

_LATEST = 100_000


class Deadlock(Exception):
    """Two updates wait for each other in half-layers of different kinds."""


@dataclass(frozen=True)
class Schedule:
    """The half-layers of a block.

    Args:
        times: What runs in each half-layer; attention at even places, neurons at odd ones.
        depth: The number of layers.
        output: What is read at the end, or None.
    """

    times: tuple[tuple[Wired, ...], ...]
    depth: int
    output: Form | None


def schedule(wiring: Wiring) -> Schedule:
    """Gives every operation its half-layer.

    Raises:
        Deadlock: If updates by heads and updates by neurons wait for each other.
    """
    plan = _Plan(wiring)
    plan.soonest()
    plan.read_stored_activations()
    plan.delay()
    last = max(plan.times.values(), default=-1)
    depth = last // 2 + 1
    rows: list[list[Wired]] = [[] for _ in range(2 * depth)]
    for operation, time in plan.times.items():
        rows[time].append(operation)
    return Schedule(tuple(tuple(merged(row)) for row in rows), depth, wiring.output)


class _Plan:
    """The times while they are being found."""

    def __init__(self, wiring: Wiring):
        self.wiring = wiring
        self.operations = list(wiring.operations)
        self.times = {operation: int(not operation.is_head) for operation in self.operations}
        self.state = {atom for update in wiring.updates for atom in update}
        self._index()

    def _index(self) -> None:
        self.writers: dict[Atom, list[Wired]] = {}
        self.readers: dict[Atom, list[Wired]] = {}
        for operation in self.operations:
            if operation.update is None:
                for atom, _ in operation.targets:
                    self.writers.setdefault(atom, []).append(operation)
            for atom in _atoms(operation.reads):
                self.readers.setdefault(atom, []).append(operation)

    def available(self, atom: Atom) -> int:
        """The half-layer after which an atom is complete."""
        return max((self.times[w] for w in self.writers.get(atom, ())), default=-1)

    def soonest(self) -> None:
        """Raises times until every input is there."""
        changed = True
        while changed:
            changed = False
            for operation in self.operations:
                inputs = [self.available(a) for a in _atoms(operation.reads)]
                changed |= self._raise(operation, max(inputs, default=-1) + 1)
            for atom, writers in self.writers.items():
                del atom
                for kind in (True, False):
                    alike = [w for w in writers if w.is_head == kind]
                    latest = max((self.times[w] for w in alike), default=0)
                    for writer in alike:
                        changed |= self._raise(writer, latest)
            for number, update in enumerate(self.wiring.updates):
                members = [o for o in self.operations if o.update == number]
                outside = [
                    self.times[reader]
                    for state in update
                    for reader in self.readers.get(state, ())
                    if reader.update != number
                ]
                latest = max([*outside, *(self.times[m] for m in members)], default=0)
                for member in members:
                    changed |= self._raise(member, latest)
            if max(self.times.values(), default=0) > _LATEST:
                raise Deadlock

    def _raise(self, operation: Wired, time: int) -> bool:
        time += (time % 2 == 0) != operation.is_head
        if time <= self.times[operation]:
            return False
        self.times[operation] = time
        return True

    def latest(self, operation: Wired) -> int:
        """The last half-layer in which an operation may run without delaying anything."""
        limit = max(self.times.values())
        for atom, _ in operation.targets:
            for reader in self.readers.get(atom, ()):
                limit = min(limit, self.times[reader] - 1)
        for atom in _atoms(operation.reads):
            if atom in self.state:
                number = next(k for k, u in enumerate(self.wiring.updates) if atom in u)
                limit = min(limit, *(self.times[o] for o in self.operations if o.update == number))
        return limit - int((limit % 2 == 0) != operation.is_head)

    def read_stored_activations(self) -> None:
        """Lets gates look at a stored relu, where there is time: its input need not be kept."""
        for place, operation in enumerate(self.operations):
            neurons = operation.operation
            if not isinstance(neurons, Neurons) or neurons.stored is None:
                continue
            atoms = _atoms(neurons.stored.reads)
            if all(self.available(a) < self.latest(operation) for a in atoms):
                changed = replace(operation, operation=neurons.stored)
                self.times[changed] = self.times.pop(operation)
                self.operations[place] = changed
        self._index()
        self.soonest()

    def delay(self) -> None:
        """Moves operations later where their result is larger than what they keep alive."""
        for operation in sorted(self.operations, key=lambda o: -self.times[o]):
            if operation.update is not None or any(
                len(self.writers[atom]) > 1 for atom, _ in operation.targets
            ):
                continue
            late = self.latest(operation)
            if late <= self.times[operation]:
                continue
            saved = (late - self.times[operation]) * sum(a.size for a, _ in operation.targets)
            if saved >= self._kept(operation, late):
                self.times[operation] = late

    def _kept(self, operation: Wired, late: int) -> int:
        """How much longer inputs would have to be kept, in numbers times half-layers."""
        total = 0
        for atom in _atoms(operation.reads):
            if atom in self.writers:
                others = [self.times[r] for r in self.readers[atom] if r is not operation]
                total += atom.size * max(0, late - max([self.times[operation], *others]))
        return total


def _atoms(forms: Iterable[Form]) -> list[Atom]:
    """The distinct atoms of some forms."""
    return list(dict.fromkeys(atom for form in forms for atom in form.terms))
