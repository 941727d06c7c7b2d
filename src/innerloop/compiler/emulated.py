"""What the target has no form for, and the sizes on the sample prompt that its stand-ins need.

A softmax head must know its largest score, a product of hinges the largest value of both factors, a
gate of hinges that of what it passes. These numbers belong to the weights: a bound on another
prompt needs them again, so a certificate keeps them in the order of the operations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from innerloop.compiler.emulation import Softmax
from innerloop.compiler.forms import Atom
from innerloop.compiler.graph import Gate, Head, Operation, Product
from innerloop.compiler.hinges import Squares

Sizes = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Emulated:
    """How operations are made in a target that lacks them.

    Args:
        softmax: What stands for linear heads; None where they are linear or exact pairs.
        hinges: Whether products and gates are hinges.
        sizes: By result: of a head its largest score, of a product the scales of both factors and
            its number of hinges, of a gate its largest value.
    """

    softmax: Softmax | None = None
    hinges: bool = False
    sizes: Mapping[Atom, tuple[float, ...]] = field(default_factory=dict)

    def squares(self, product: Atom) -> Squares:
        """The hinges of a product."""
        left, right, hinges = self.sizes[product]
        return Squares(left, right, int(hinges))

    def stated(self, operations: Sequence[Operation]) -> Sizes:
        """The sizes in the order of the operations, for a certificate."""
        return tuple(self.sizes[o.out] for o in operations if self._concerns(o))

    def with_stated(self, operations: Sequence[Operation], sizes: Sizes) -> "Emulated":
        """The same for a learner that was lowered again.

        Raises:
            ValueError: If there is another number of such operations.
        """
        concerned = [o.out for o in operations if self._concerns(o)]
        if len(concerned) != len(sizes):
            raise ValueError(
                f"this learner has {len(concerned)} operations that the target emulates, and the "
                f"model {len(sizes)}: it was compiled from another learner."
            )
        return Emulated(self.softmax, self.hinges, dict(zip(concerned, sizes, strict=True)))

    def _concerns(self, operation: Operation) -> bool:
        if isinstance(operation, Head):
            return self.softmax is not None and operation.kernel.name != "softmax"
        return self.hinges and isinstance(operation, Product | Gate)
