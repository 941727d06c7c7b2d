"""Saved models: the same bits come back, and what is not a whole model is refused in words."""

import dataclasses
import hashlib
import json
import pickle

import equinox as eqx
import jax
import numpy as np
import optax
import pytest
import safetensors.numpy

import innerloop as il
from innerloop.compiler import storage
from innerloop.compiler.certificate import Approximation
from tests.compiler.cases import apply_mlp, learner_of, prompt_of, trained

FILES = {"model.safetensors", "config.json", "certificate.json", "README.md"}
BLOCKS = ("model", "transformer", "blocks")


@pytest.fixture(scope="module")
def model():
    learner, prompt, _, _ = trained("mlp-2", "momentum", 5, 7)
    return il.compile(learner, steps=5, like=prompt)


@pytest.fixture
def saved(model, tmp_path):
    il.save(model, tmp_path / "model")
    return tmp_path / "model"


def edit(path, change, *, resum=True):
    """Edits a saved model's JSON in place, with checksums that fit again if `resum`."""
    config = json.loads((path / "config.json").read_text())
    certificate = json.loads((path / "certificate.json").read_text())
    change(config, certificate)
    (path / "config.json").write_text(json.dumps(config))
    if resum:
        for name in ("config.json", "model.safetensors"):
            certificate["sha256"][name] = hashlib.sha256((path / name).read_bytes()).hexdigest()
    (path / "certificate.json").write_text(json.dumps(certificate))


def edit_tensors(path, change):
    """Edits a saved model's tensors in place, with checksums that fit again."""
    tensors = safetensors.numpy.load_file(path / "model.safetensors")
    change(tensors)
    (path / "model.safetensors").write_bytes(safetensors.numpy.save(tensors))
    edit(path, lambda config, certificate: None)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("network", "optimizer"), [("mlp-3", "schedule"), ("residual", "sign"), ("mlp-1", "sgd")]
)
def test_the_same_bits_come_back(network, optimizer, dtype, rng, tmp_path):
    learner, _ = learner_of(network, optimizer, rng)
    prompt = prompt_of(rng)
    model = il.compile(learner, steps=2, like=prompt, dtype=dtype)
    il.save(model, tmp_path / "model")
    again = il.load(tmp_path / "model")
    assert eqx.tree_equal(model, again, typematch=True)
    assert jax.tree.structure(model) == jax.tree.structure(again)
    assert hash(jax.tree.structure(again)) == hash(jax.tree.structure(model))
    np.testing.assert_array_equal(again.iterates(prompt), model.iterates(prompt))
    np.testing.assert_array_equal(
        again.iterates(prompt, dense=True), model.iterates(prompt, dense=True)
    )


def test_labels_and_certificate_come_back(model, saved):
    again = il.load(saved)
    assert again.anatomy() == model.anatomy() and str(again.anatomy()) == str(model.anatomy())
    assert again.certificate == model.certificate
    assert again.residual_stream == model.residual_stream
    assert again.subspaces == model.subspaces and again.sections == model.sections


def test_a_certificate_of_approximations_comes_back(model, tmp_path):
    """Infinities and nested records too, which JSON has no word for."""
    approximation = Approximation(
        **{
            field.name: {"str": "tanh", "int": 3, "float": -np.inf, "bool": True}.get(
                getattr(field.type, "__name__", field.type), 0.5
            )
            for field in dataclasses.fields(Approximation)
        }
    )
    certificate = dataclasses.replace(
        model.certificate,
        approximations=(approximation, approximation),
        sample_bounds=(0.0, 1e-7, np.inf),
        largest="tanh",
        measured=1e-9,
        bound=np.inf,
        prompts=3,
    )
    stated = eqx.tree_at(lambda m: m.embed, model, np.array(model.embed))
    object.__setattr__(stated, "certificate", certificate)
    il.save(stated, tmp_path / "model")
    assert il.load(tmp_path / "model").certificate == certificate


def test_the_directory_is_that_of_a_model_hub(model, saved):
    assert {path.name for path in saved.iterdir()} == FILES
    config = json.loads((saved / "config.json").read_text())
    assert config["model_type"] == "innerloop" and config["format_version"] == 3
    assert config["depth"] == model.depth and config["width"] == model.width
    certificate = json.loads((saved / "certificate.json").read_text())
    content = (saved / "model.safetensors").read_bytes()
    assert certificate["sha256"]["model.safetensors"] == hashlib.sha256(content).hexdigest()
    assert certificate["text"] == str(model.certificate)
    tensors = safetensors.numpy.load(content)
    assert {"embed", "registers", "unembed", "transformer.blocks.attention.0.W_Q"} <= set(tensors)
    assert tensors["embed"].dtype == np.float64
    card = (saved / "README.md").read_text()
    assert card.startswith("---\n") and "il.load" in card and str(model.certificate) in card


def test_files_are_readable_by_others(saved):
    """safetensors' own writer would leave a file that only its owner may read."""
    probe = saved.parent / "probe"
    probe.write_text("")
    assert {path.stat().st_mode for path in saved.iterdir()} == {probe.stat().st_mode}


def test_a_model_is_replaced_by_a_model(model, saved):
    again = il.load(saved)
    il.save(again, saved)
    assert eqx.tree_equal(il.load(saved), model)
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_parents_are_made_and_an_empty_directory_is_used(model, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    for target in (tmp_path / "a" / "b", tmp_path / "c" / "d"):
        il.save(model, str(target))
        assert eqx.tree_equal(il.load(str(target)), model)


def test_what_is_no_model_is_left_alone(model, saved, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match=r"file is a file; a model is a directory"):
        il.save(model, tmp_path / "file")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match=r"something else than a model \(thesis\.tex\)"):
        il.save(model, tmp_path / "folder")
    (tmp_path / "card").mkdir()
    (tmp_path / "card" / "README.md").write_text("mine")
    with pytest.raises(ValueError, match=r"something else than a model \(README\.md\)"):
        il.save(model, tmp_path / "card")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(ValueError, match=r"type 'gpt2', not 'innerloop'"):
        il.save(model, tmp_path / "foreign")
    (saved / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"\(notes\.txt\), which saving would remove"):
        il.save(model, saved)
    assert (tmp_path / "folder" / "thesis.tex").read_text() == "mine"
    assert (tmp_path / "foreign" / "config.json").exists() and (saved / "notes.txt").exists()


def test_a_failure_leaves_no_trace(model, saved, monkeypatch):
    before = {path.name: path.read_bytes() for path in saved.iterdir()}

    def fails(self, target):
        raise OSError("the disk is full")

    monkeypatch.setattr(storage.Path, "rename", fails)
    for target in (saved, saved.parent / "new"):
        with pytest.raises(OSError, match="disk is full"):
            il.save(model, target)
    assert [path.name for path in saved.parent.iterdir()] == ["model"]
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


def test_an_old_model_survives_a_failure_between_the_renames(model, saved, monkeypatch):
    rename, calls = storage.Path.rename, []

    def fails_second(self, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError("the disk is gone")
        return rename(self, target)

    monkeypatch.setattr(storage.Path, "rename", fails_second)
    with pytest.raises(OSError, match="disk is gone"):
        il.save(model, saved)
    assert eqx.tree_equal(il.load(saved), model)
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def remove(*keys):
    def change(config, certificate):
        record = {"config": config, "certificate": certificate}
        for key in keys[:-1]:
            record = record[key]
        del record[keys[-1]]

    return change


def put(value, *keys):
    def change(config, certificate):
        record = {"config": config, "certificate": certificate}
        for key in keys[:-1]:
            record = record[key]
        record[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (remove("config", "model"), r"config\.json lacks `model`"),
        (remove("config", "model", "sections"), r"it lacks sections\..*compile again"),
        (remove("config", "model", "sections", "init"), r"it lacks sections\.init\."),
        (remove("config", "model", "transformer", "order"), r"it lacks transformer\.order"),
        (
            remove("config", *BLOCKS, "mlp", "activation"),
            r"it lacks transformer\.blocks\.mlp\.activation",
        ),
        (remove("config", "model", "subspaces", 0, "born"), r"it lacks subspaces\.0\.born"),
        (remove("certificate", "certificate"), r"certificate\.json lacks `certificate`"),
        (remove("certificate", "certificate", "dtype"), r"it lacks certificate\.dtype"),
        (put(1, "certificate", "certificate", "colour"), r"it has certificate\.colour"),
        (put("5", "config", "model", "sections", "steps"), r"sections\.steps must be a JSON int"),
        (put(True, "config", "model", "sections", "steps"), r"sections\.steps must be .* bool"),
        (put(3, "config", "model", "subspaces"), r"subspaces must be a JSON list; it is a int"),
        (put("gpt2", "config", "model_type"), r"type 'gpt2', not 'innerloop': il\.save did not"),
        (put(99, "config", "format_version"), r"format 99, and this version reads 3"),
        (put(7, "config", "d"), r"config\.json says d = 7; the weights have d = 3"),
        (put(70, "config", "depth"), r"says depth = 70; the weights have depth = 22"),
        (put("float32", "config", "dtype"), r"says dtype = 'float32'; the weights have"),
        (put([0, 99], "config", "model", "transformer", "order"), r"a block beyond the \d+ that"),
        (put([0, 0], "config", "model", "transformer", "order"), r"has 2 layers, and sections"),
        (
            put("swish", "config", *BLOCKS, "mlp", "activation"),
            r"unknown activation 'swish'",
        ),
        (
            put("relu", "config", *BLOCKS, "mlp", "activation"),
            r"W_gate and b_gate belong to activation='reglu'",
        ),
        (
            put("cosine", "config", *BLOCKS, "attention", 0, "kernel", "name"),
            r"unknown kernel 'cosine'",
        ),
        (put([9999], "config", "model", "subspaces", 0, "coordinates"), r"beyond the width"),
    ],
)  # fmt: skip
def test_a_config_that_does_not_fit_says_where(change, message, saved):
    edit(saved, change)
    with pytest.raises(ValueError, match=message):
        il.load(saved)


def without(name):
    return lambda tensors: tensors.pop(name)


def instead(name, make):
    def change(tensors):
        tensors[name] = np.ascontiguousarray(make(tensors[name]))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("embed"), r"it lacks the tensor embed\."),
        (without("transformer.blocks.mlp.W_gate"), r"mlp\.W_gate"),
        (instead("extra", lambda _: np.ones(3)), r"tensors that no part asks for: extra"),
        (instead("embed", lambda a: a[:-1]), r"embed has shape .*axis r of .* must be"),
        (instead("unembed", lambda a: a[None]), r"unembed has shape .*; its axes must be `p r`"),
        (instead("transformer.blocks.mlp.b_in", lambda a: a[:, :-1]), r"b_in .* its axis f of"),
        (instead("transformer.blocks.attention.0.W_V", lambda a: a[:-1]), r"W_V .* its axis l of"),
        (instead("transformer.blocks.attention.0.readers", lambda a: a[..., :2]), r"axis roles"),
        (instead("ramps.rows", lambda a: a[:-1]), r"disagree on the number of blocks"),
        (instead("embed", lambda a: a.astype(np.float32)), r"mixes precisions"),
        (instead("embed", lambda a: a > 0), r"the tensor embed holds bool"),
    ],
)  # fmt: skip
def test_tensors_that_do_not_fit_say_which(change, message, saved):
    def changed(tensors):
        tensors.setdefault("extra", None)
        change(tensors)
        for name in [name for name, array in tensors.items() if array is None]:
            del tensors[name]

    edit_tensors(saved, changed)
    with pytest.raises(ValueError, match=message):
        il.load(saved)


def test_a_changed_weight_is_seen(saved):
    tensors = safetensors.numpy.load_file(saved / "model.safetensors")
    tensors["embed"] = tensors["embed"] + 1e-9
    (saved / "model.safetensors").write_bytes(safetensors.numpy.save(tensors))
    with pytest.raises(ValueError, match=r"model\.safetensors has been changed since it was saved"):
        il.load(saved)


def test_a_changed_label_is_seen(saved):
    edit(saved, put("z", "config", "model", "subspaces", 0, "name"), resum=False)
    with pytest.raises(ValueError, match=r"config\.json has been changed since it was saved"):
        il.load(saved)


@pytest.mark.parametrize("keep", [0, 7, 500, 5000])
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "certificate.json"])
def test_a_truncated_file_is_seen(name, keep, saved):
    content = (saved / name).read_bytes()
    (saved / name).write_bytes(content[: min(keep, len(content) - 3)])
    with pytest.raises(ValueError, match=rf"{name} is truncated or not"):
        il.load(saved)


@pytest.mark.parametrize("name", sorted(FILES - {"README.md"}))
def test_a_missing_file_is_named(name, saved):
    (saved / name).unlink()
    with pytest.raises(ValueError, match=rf"lacks {name}, so it is not a model.*Copy the whole"):
        il.load(saved)


def test_the_card_is_for_people_only(model, saved):
    (saved / "README.md").unlink()
    assert eqx.tree_equal(il.load(saved), model)


def test_a_path_that_is_no_directory_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere does not exist; give a directory that il\.save"):
        il.load(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"file is a file; give a directory that il\.save wrote"):
        il.load(tmp_path / "file")


class Explodes:
    """What a pickle would run when it is read."""

    def __reduce__(self):
        return (pytest.fail, ("code from the file was executed",))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "certificate.json"])
def test_a_pickle_is_not_read(name, saved):
    (saved / name).write_bytes(pickle.dumps(Explodes()))
    with pytest.raises(ValueError, match=rf"{name} is truncated or not"):
        il.load(saved)


@pytest.mark.parametrize("text", ["[]", "3", "null", '"config"', "{}"])
def test_json_of_another_kind_is_refused(text, saved):
    (saved / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"il\.save"):
        il.load(saved)


def test_what_is_not_data_cannot_be_saved(model, tmp_path):
    faulty = eqx.tree_at(lambda m: m.embed, model, np.array(model.embed))
    object.__setattr__(faulty, "parts", lambda: "code")
    with pytest.raises(TypeError, match=r"parts: a function cannot be saved"):
        il.save(faulty, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_loaded_model_reuses_the_compilation_of_its_twin(saved):
    """Static fields come back hashable and equal, so `jit` does not trace again."""
    traces = []

    @eqx.filter_jit
    def predict(model, prompt):
        traces.append(1)
        return model(prompt)

    prompt = il.Prompt(*(jax.numpy.asarray(np.ones(s)) for s in ((7, 3), (7, 2), (5, 3))))
    predict(il.load(saved), prompt)
    predict(il.load(saved), prompt)
    assert len(traces) == 1


def test_no_steps_can_be_saved(rng, tmp_path):
    layers = [(rng.normal(size=(2, 3)), np.zeros(2))]
    learner = il.learner(apply_mlp, layers, optimizer=optax.sgd(0.1))
    model = il.compile(learner, steps=0, like=prompt_of(rng))
    il.save(model, tmp_path / "model")
    assert eqx.tree_equal(il.load(tmp_path / "model"), model)
