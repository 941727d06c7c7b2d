"""The optimisers that `--optimizer` knows, each an optax rule that the compiler takes; no JAX."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from innerloop.cli.settings import (
    Setting,
    fraction,
    not_negative,
    parse_settings,
    positive,
    written,
)

RATE = positive("rate")
B1, B2, B3, MOMENTUM = (fraction(name) for name in ("b1", "b2", "b3", "momentum"))
EPS, DECAY = positive("eps"), not_negative("weight_decay")
ADAM = (B1, B2, EPS)


@dataclass(frozen=True)
class OptimizerRule:
    """An optimiser in optax.

    Args:
        function: Its name in `optax`, or in `optax.contrib` where it begins so.
        words: What reports call it.
        optional: The settings it may be given, by their names in optax.
        needed: The settings it must be given beside the learning rate.
        fixed: Switches that make it what it is.
    """

    function: str
    words: str
    optional: tuple[Setting, ...] = ()
    needed: tuple[Setting, ...] = ()
    fixed: Mapping[str, bool] = field(default_factory=dict)

    @property
    def required(self) -> tuple[Setting, ...]:
        """The learning rate, and what else must be given."""
        return (RATE, *self.needed)


OPTIMIZERS: dict[str, OptimizerRule] = {
    "sgd": OptimizerRule("sgd", "gradient descent"),
    "momentum": OptimizerRule("sgd", "momentum", needed=(MOMENTUM,)),
    "nesterov": OptimizerRule(
        "sgd", "Nesterov momentum", needed=(MOMENTUM,), fixed={"nesterov": True}
    ),
    "optimistic": OptimizerRule(
        "optimistic_gradient_descent",
        "optimistic gradient descent",
        (not_negative("alpha"), not_negative("beta")),
    ),
    "sign_sgd": OptimizerRule("sign_sgd", "signs of the gradient"),
    "signum": OptimizerRule("signum", "Signum", (fraction("beta"),)),
    "lion": OptimizerRule("lion", "Lion", (B1, B2, DECAY)),
    "rprop": OptimizerRule("rprop", "Rprop", (positive("eta_minus"), positive("eta_plus"))),
    "adam": OptimizerRule("adam", "Adam", ADAM),
    "adamw": OptimizerRule("adamw", "AdamW", (*ADAM, DECAY)),
    "nadam": OptimizerRule("nadam", "NAdam", ADAM),
    "nadamw": OptimizerRule("nadamw", "NAdamW", (*ADAM, DECAY)),
    "adamax": OptimizerRule("adamax", "AdaMax", ADAM),
    "adamaxw": OptimizerRule("adamaxw", "AdaMaxW", (*ADAM, DECAY)),
    "amsgrad": OptimizerRule("amsgrad", "AMSGrad", ADAM),
    "adabelief": OptimizerRule("adabelief", "AdaBelief", ADAM),
    "radam": OptimizerRule("radam", "RAdam", ADAM),
    "yogi": OptimizerRule("yogi", "Yogi", ADAM),
    "adan": OptimizerRule("adan", "Adan", (B1, B2, B3, EPS, DECAY)),
    "optimistic_adam": OptimizerRule("optimistic_adam_v2", "optimistic Adam", ADAM),
    "ademamix": OptimizerRule(
        "contrib.ademamix", "AdEMAMix", (B1, B2, B3, positive("alpha"), EPS, DECAY)
    ),
    "adopt": OptimizerRule("contrib.adopt", "ADOPT", ADAM),
    "acprop": OptimizerRule("contrib.acprop", "ACProp", (*ADAM, DECAY)),
    "madgrad": OptimizerRule("contrib.madgrad", "MADGRAD", (MOMENTUM, DECAY, EPS)),
    "rmsprop": OptimizerRule("rmsprop", "RMSProp", (fraction("decay"), EPS)),
    "adagrad": OptimizerRule(
        "adagrad", "AdaGrad", (not_negative("initial_accumulator_value"), EPS)
    ),
    "adadelta": OptimizerRule("adadelta", "AdaDelta", (fraction("rho"), EPS, DECAY)),
    "adafactor": OptimizerRule("adafactor", "Adafactor", (fraction("decay_rate"),)),
    "lamb": OptimizerRule("lamb", "LAMB", (*ADAM, DECAY)),
    "lars": OptimizerRule("lars", "LARS", (DECAY, positive("trust_coefficient"), MOMENTUM)),
    "novograd": OptimizerRule("novograd", "NovoGrad", (*ADAM, DECAY)),
    "muon": OptimizerRule("contrib.muon", "Muon", (fraction("beta"), DECAY)),
    "fromage": OptimizerRule("fromage", "Fromage", (positive("min_norm"),)),
}


@dataclass(frozen=True)
class OptimizerSpec:
    """An optimiser by name, with the settings that were given.

    Example:
        >>> OptimizerSpec("nesterov", (("rate", 0.1), ("momentum", 0.9))).described
        'Nesterov momentum 0.9 at rate 0.1'
    """

    name: str
    given: tuple[tuple[str, float], ...]

    @property
    def rule(self) -> OptimizerRule:
        """What the name stands for."""
        return OPTIMIZERS[self.name]

    @property
    def described(self) -> str:
        """In words."""
        (_, rate), *others = self.given
        needed = {setting.name for setting in self.rule.needed}
        main = "".join(f" {value:g}" for name, value in others if name in needed)
        rest = "".join(f", {name} {value:g}" for name, value in others if name not in needed)
        return f"{self.rule.words}{main} at rate {rate:g}{rest}"

    def __str__(self) -> str:
        return written(self.name, self.given, self.rule)


def parse_optimizer(text: str) -> OptimizerSpec:
    """Reads an optimiser specification.

    Raises:
        UserError: If there is no such optimiser, or a setting is missing, unknown or out of range.

    Example:
        >>> parse_optimizer("adam:1e-2,b2=0.99").given
        (('rate', 0.01), ('b2', 0.99))
    """
    return OptimizerSpec(*parse_settings("--optimizer", "an optimiser", text, OPTIMIZERS))
