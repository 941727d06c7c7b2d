r"""A compiled model on disk: a directory in the layout that model hubs use.

    model.safetensors   every array             config.json        what is not an array
    certificate.json    what the model promises, and the checksums of the two files above
    README.md           a card for people

Loading executes nothing: JSON and tensors are read, checked, and only then put together. A tensor
has the name of the fields that lead to it; a large bank that is mostly zeros is stored as its
entries (`innerloop.compiler.packing`), so that padding takes no room on disk. There a zero loses
its sign, and nothing else changes.
"""

import hashlib
import json
import os
import secrets
import shutil
from importlib import metadata
from pathlib import Path

import jax
import numpy as np
import safetensors
import safetensors.numpy

from innerloop.compiler.compiled import Compiled
from innerloop.compiler.packing import packed, unpacked
from innerloop.compiler.records import Misfit, Tensors, as_json, put_together, taken_apart

WEIGHTS, CONFIG, CERTIFICATE, CARD = (
    "model.safetensors",
    "config.json",
    "certificate.json",
    "README.md",
)
_FORMAT, _VERSION = "innerloop", 3
_SUMMARY = ("d", "p", "steps", "depth", "width", "dtype")


def save(model: Compiled, path: str | os.PathLike) -> None:
    """Writes a compiled model to a directory: safetensors and JSON, no code.

    The directory appears whole or not at all. A model that is already there is replaced.

    Args:
        model: The model.
        path: A directory; it is made, with its parents.

    Raises:
        ValueError: If there is something at `path` that is not a model.

    Example:
        >>> import tempfile, numpy as np, optax
        >>> import innerloop as il
        >>> prompt = il.Prompt([[1.0], [2.0]], [[2.0], [4.0]], [[3.0]])
        >>> line = il.learner(lambda w, x: w @ x, np.zeros((1, 1)), optimizer=optax.sgd(0.1))
        >>> model = il.compile(line, steps=3, like=prompt)
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     il.save(model, f"{directory}/line")
        ...     again = il.load(f"{directory}/line")
        >>> bool(np.array_equal(again(prompt), model(prompt)))
        True
    """
    target = Path(path)
    _check_free(target)
    files = _files(model)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.parent / f".{target.name}.{secrets.token_hex(4)}"
    beside.mkdir()
    try:
        for name, content in files.items():
            (beside / name).write_bytes(content)
        _put_in_place(beside, target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def load(path: str | os.PathLike) -> Compiled:
    """Reads a model that `save` wrote; the file's contents are data and are never executed.

    Args:
        path: The directory.

    Returns:
        The model, bit for bit.

    Raises:
        ValueError: If the directory holds no model, or a file is truncated, changed, foreign, or
            does not fit the others.
    """
    directory = Path(path)
    if not directory.is_dir():
        what = "is a file" if directory.exists() else "does not exist"
        raise ValueError(f"{directory} {what}; give a directory that il.save wrote.")
    missing = [name for name in (CONFIG, CERTIFICATE, WEIGHTS) if not (directory / name).is_file()]
    if missing:
        raise ValueError(
            f"{directory} lacks {', '.join(missing)}, so it is not a model that il.save wrote, or "
            "only part of one. Copy the whole directory again."
        )
    config, certificate = (_json(directory / name) for name in (CONFIG, CERTIFICATE))
    _check_format(config, directory / CONFIG)
    tensors = _tensors(directory / WEIGHTS)
    model = _model(directory, config, certificate, tensors)
    _check_sums(directory, certificate)
    return model


def _files(model: Compiled) -> dict[str, bytes]:
    """What the directory will hold."""
    tensors: Tensors = {}
    record = taken_apart(model, tensors)
    assert isinstance(record, dict)
    certificate = record.pop("certificate")
    config = {
        "model_type": _FORMAT,
        "format_version": _VERSION,
        "library_version": metadata.version("innerloop"),
        **{name: getattr(model, name) for name in _SUMMARY},
        "model": record,
    }
    files = {
        WEIGHTS: safetensors.numpy.save(packed(tensors), {"format": "np"}),
        CONFIG: as_json(config),
    }
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    stated = {"text": str(model.certificate), "certificate": certificate, "sha256": sums}
    return {**files, CERTIFICATE: as_json(stated), CARD: _card(model).encode()}


def _card(model: Compiled) -> str:
    """A model card."""
    return f"""---
library_name: innerloop
tags: [in-context-learning, compiled-transformer]
---

# A learning algorithm, compiled into a transformer

{model.depth} layers of width {model.width}, {model.dtype}. A pass takes {model.steps} steps of the
learner, on any number of examples of {model.d} covariates and {model.p} targets.

```python
import innerloop as il

model = il.load("path/to/this/directory")
predictions = model(il.Prompt(x, y, xq))
print(model.anatomy())
```

What the weights promise (`{CERTIFICATE}`):

```text
{model.certificate}
```
"""


def _check_free(target: Path) -> None:
    """Whether nothing but an older model would be lost."""
    if not target.exists():
        return
    if not target.is_dir():
        raise ValueError(f"{target} is a file; a model is a directory. Give another path.")
    names = {entry.name for entry in target.iterdir()}
    others = sorted(names - {WEIGHTS, CONFIG, CERTIFICATE, CARD})
    if others or (names and CONFIG not in names):
        shown = ", ".join((others or sorted(names))[:3])
        raise ValueError(
            f"{target} holds something else than a model ({shown}), which saving would remove. "
            "Give a new directory."
        )
    if names:
        _check_format(_json(target / CONFIG), target / CONFIG)


def _put_in_place(beside: Path, target: Path) -> None:
    """Renames the finished directory; what stands there is set aside until that is done."""
    if not target.exists():
        beside.rename(target)
        return
    aside = beside.with_name(beside.name + ".old")
    target.rename(aside)
    try:
        beside.rename(target)
    except OSError:
        aside.rename(target)
        raise
    shutil.rmtree(aside)


def _json(path: Path) -> dict:
    try:
        record = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is truncated or not JSON: {error}.") from None
    if not isinstance(record, dict):
        raise ValueError(f"{path} was not written by il.save: it holds no JSON object.")
    return record


def _check_format(config: dict, path: Path) -> None:
    if config.get("model_type") != _FORMAT:
        raise ValueError(
            f"{path} describes a model of type {config.get('model_type')!r}, not {_FORMAT!r}: "
            "il.save did not write it."
        )
    if config.get("format_version") != _VERSION:
        raise ValueError(
            f"{path} is in format {config.get('format_version')!r}, and this version reads "
            f"{_VERSION}. Install innerloop {config.get('library_version')}, which wrote it, or "
            "compile again."
        )


def _tensors(path: Path) -> Tensors:
    try:
        return safetensors.numpy.load(path.read_bytes())
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path} is truncated or not a safetensors file: {error}. Copy it again."
        ) from None


def _model(directory: Path, config: dict, certificate: dict, tensors: Tensors) -> Compiled:
    """The model, if all parts are there and fit."""
    try:
        for record, key, name in (
            (config, "model", CONFIG),
            (certificate, "certificate", CERTIFICATE),
        ):
            if not isinstance(record.get(key), dict):
                raise Misfit(f"{name} lacks `{key}`.")
        tensors = unpacked(tensors)
        whole = {**config["model"], "certificate": certificate["certificate"]}
        model = put_together(Compiled, whole, tensors, {})
        _check_whole(model, config, tensors)
    except Misfit as error:
        raise ValueError(
            f"{directory} does not hold a whole model: {error} It was written by innerloop "
            f"{config.get('library_version')}; copy the directory again, or compile again."
        ) from error
    return model


def _check_whole(model: Compiled, config: dict, tensors: Tensors) -> None:
    """What no single part can know."""
    if tensors:
        raise Misfit(f"{WEIGHTS} has tensors that no part asks for: {', '.join(sorted(tensors))}.")
    arrays = [leaf for leaf in jax.tree.leaves(model) if np.issubdtype(leaf.dtype, np.floating)]
    if any(leaf.dtype != model.dtype for leaf in arrays):
        raise Misfit(f"{WEIGHTS} mixes precisions.")
    blocks = {len(leaf) for leaf in jax.tree.leaves((model.transformer.blocks, model.ramps))}
    if len(blocks) != 1:
        raise Misfit(
            f"the tensors of {WEIGHTS} disagree on the number of blocks: {sorted(blocks)}."
        )
    order, sections = model.transformer.order, model.sections
    if any(not 0 <= block < min(blocks) for block in order):
        raise Misfit(f"transformer.order names a block beyond the {min(blocks)} that there are.")
    if len(order) != sections.init + sections.steps * sections.step + sections.read_out:
        raise Misfit(f"transformer.order has {len(order)} layers, and sections another number.")
    if any(not 0 <= k < model.width for space in model.subspaces for k in space.coordinates):
        raise Misfit(f"a subspace names a coordinate beyond the width of {model.width}.")
    for name in _SUMMARY:
        if config.get(name) != getattr(model, name):
            raise Misfit(
                f"{CONFIG} says {name} = {config.get(name)!r}; the weights have "
                f"{name} = {getattr(model, name)!r}."
            )


def _check_sums(directory: Path, certificate: dict) -> None:
    """Whether the files are the ones that the certificate was written for."""
    stated = certificate.get("sha256")
    for name in (WEIGHTS, CONFIG):
        found = hashlib.sha256((directory / name).read_bytes()).hexdigest()
        if not isinstance(stated, dict) or stated.get(name) != found:
            raise ValueError(
                f"{directory / name} has been changed since it was saved: its SHA-256 is not "
                f"the one in {CERTIFICATE}, so the certificate does not hold. Copy the directory "
                "again, or compile again."
            )
