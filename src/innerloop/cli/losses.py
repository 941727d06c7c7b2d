"""The losses that `--loss` knows, and what a prediction means under each."""

from dataclasses import dataclass
from typing import Literal

from innerloop.cli.settings import Setting, inside, parse_settings, positive, written
from innerloop.report.links import Link

Targets = Literal["numbers", "counts", "classes"]


@dataclass(frozen=True)
class LossRule:
    """A loss.

    Args:
        words: What reports call it.
        targets: What it is for: any numbers, counts (numbers of at least 0), or classes.
        link: From the network's outputs to the answer.
        optional: The settings it may be given.
        required: The settings it must be given: none has any.
    """

    words: str
    targets: Targets
    link: Link = "identity"
    optional: tuple[Setting, ...] = ()
    required: tuple[Setting, ...] = ()


LOSSES: dict[str, LossRule] = {
    "squared": LossRule("squared loss", "numbers"),
    "absolute": LossRule("absolute loss", "numbers"),
    "huber": LossRule("Huber loss", "numbers", optional=(positive("delta"),)),
    "quantile": LossRule("quantile loss", "numbers", optional=(inside("level"),)),
    "poisson": LossRule("Poisson loss", "counts", "exp"),
    "softmax": LossRule("softmax cross-entropy", "classes", "softmax"),
    "sigmoid": LossRule("sigmoid cross-entropy", "classes", "sigmoid"),
    "hinge": LossRule("hinge loss", "classes"),
}
DEFAULTS = {"delta": 1.0, "level": 0.5}
FOR_NUMBERS, FOR_CLASSES = "squared", "softmax"


@dataclass(frozen=True)
class LossSpec:
    """The loss of one example by name, with the settings that were given."""

    name: str
    given: tuple[tuple[str, float], ...] = ()

    @property
    def rule(self) -> LossRule:
        """What the name stands for."""
        return LOSSES[self.name]

    @property
    def setting(self) -> float:
        """Its one setting: Huber's delta, or the quantile's level; its default if not given."""
        (default,) = (DEFAULTS[setting.name] for setting in self.rule.optional)
        return dict(self.given).get(self.rule.optional[0].name, default)

    @property
    def described(self) -> str:
        """In words."""
        if not self.rule.optional:
            return self.rule.words
        return f"{self.rule.words} ({self.rule.optional[0].name} {self.setting:g})"

    def __str__(self) -> str:
        return written(self.name, self.given, self.rule)


def parse_loss(text: str) -> LossSpec:
    """Reads a loss specification.

    Raises:
        UserError: If there is no such loss, or a setting is unknown or out of range.

    Example:
        >>> parse_loss("huber:0.5").setting, parse_loss("quantile").setting
        (0.5, 0.5)
    """
    return LossSpec(*parse_settings("--loss", "a loss", text, LOSSES))
