"""Results of claims on disk: a file a claim, written whole or not at all, so a kill loses nothing.

A file is named by paper, claim and scale, and holds a fingerprint of the package that made it. What
another version of the code made is computed again.
"""

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

from innerloop.papers.claims import Check, Claim, Outcome, Scale

WITHOUT_NUMBERS = ("cli", "report")
PACKAGES = ("innerloop", "jax", "numpy", "scipy", "equinox", "optax")


@dataclass(frozen=True)
class Result:
    """What the run of one claim left.

    Args:
        paper: The paper's key.
        claim: The claim's id.
        scale: The scale it ran at.
        outcome: What it found; None where it raised.
        error: The traceback where it raised.
        seconds: Wall time.
        versions: Of the packages that it ran with.
        fingerprint: Of the code that made it.
    """

    paper: str
    claim: str
    scale: Scale
    outcome: Outcome | None
    error: str
    seconds: float
    versions: dict[str, str]
    fingerprint: str


def fingerprint() -> str:
    """A digest of the code that claims depend on, and of the packages' versions."""
    return _digest(json.dumps(versions(), sort_keys=True))


@cache
def _digest(stated: str) -> str:
    package = Path(__file__).parents[1]
    digest = hashlib.sha256(stated.encode())
    for path in sorted(package.rglob("*.py")):
        if path.relative_to(package).parts[0] not in WITHOUT_NUMBERS:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def versions() -> dict[str, str]:
    """The versions of the packages that numbers depend on."""
    return {package: version(package) for package in PACKAGES}


class Store:
    """A directory of results.

    Args:
        directory: Where they are; made when the first is saved.
    """

    def __init__(self, directory: Path):
        self.directory = directory

    def path(self, paper: str, claim: str, scale: Scale) -> Path:
        """Where the result of a claim lies."""
        return self.directory / paper / f"{claim}.{scale}.json"

    def save(self, result: Result) -> None:
        """Writes a result; who reads meanwhile sees the old one or the new one, nothing between."""
        path = self.path(result.paper, result.claim, result.scale)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(_encoded(result), indent=1, ensure_ascii=False)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)

    def load(self, paper: str, claim: Claim, scale: Scale) -> Result | None:
        """Reads a result; None where there is none, or where other code made it.

        Args:
            paper: The paper's key.
            claim: The claim.
            scale: The scale.

        Returns:
            The result, the same values to the last bit.
        """
        path = self.path(paper, claim.id, scale)
        try:
            result = _decoded(json.loads(path.read_text("utf-8")))
        except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError):
            return None
        return result if result.fingerprint == fingerprint() else None


def _encoded(result: Result) -> dict:
    fields = asdict(result)
    if result.outcome is not None:
        fields["outcome"]["arrays"] = {
            name: {
                "dtype": str(array.dtype),
                "shape": array.shape,
                "values": array.ravel().tolist(),
            }
            for name, array in ((n, np.asarray(a)) for n, a in result.outcome.arrays.items())
        }
    return fields


def _decoded(fields: dict) -> Result:
    if (outcome := fields["outcome"]) is not None:
        arrays = {
            name: np.array(array["values"], array["dtype"]).reshape(array["shape"])
            for name, array in outcome["arrays"].items()
        }
        checks = tuple(Check(**check) for check in outcome["checks"])
        outcome = Outcome(checks, arrays, outcome["settings"], tuple(outcome["seeds"]))
    return Result(**{**fields, "outcome": outcome})
