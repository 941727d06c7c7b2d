"""What a CSV file is read as; what is refused stands in test_messages."""

import numpy as np
import pytest

from innerloop.cli.encoding import covariates
from innerloop.cli.errors import UserError
from innerloop.cli.losses import LossSpec
from innerloop.cli.partition import partition, partitioned
from innerloop.cli.tables import Table, read_table
from innerloop.cli.targets import answers, loss_for

BODY = "1,2.5,3\n4,5,-6e1\n7,8,9\n0,1,2\n"


@pytest.mark.parametrize(
    "text",
    [
        "a,b,c\n" + BODY,
        "\ufeffa,b,c\r\n" + BODY.replace("\n", "\r\n"),
        "a;b;c\n" + BODY.replace(",", ";"),
        "a\tb\tc\n" + BODY.replace(",", "\t"),
        '"a", "b", "c"\n\n' + BODY.replace(",", ", ") + "\n\n",
    ],
    ids=["plain", "excel", "semicolons", "tabs", "blanks and quotes"],
)
def test_usual_ways_of_writing_a_table_are_read(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text, "utf-8", newline="")
    table = read_table(path, ("c", "a"))
    assert (table.features, table.targets, table.rows) == (("b",), ("c", "a"), 4)
    for name, column in {"a": [1, 4, 7, 0], "b": [2.5, 5, 8, 1], "c": [3, -60, 9, 2]}.items():
        np.testing.assert_array_equal(table.columns[name], column)
        assert not table.is_text(name)


def _written(tmp_path, text: str):
    path = tmp_path / "table.csv"
    path.write_text(text, "utf-8")
    return path


def test_text_and_numbers_that_are_names_are_read_as_text(tmp_path):
    path = _written(tmp_path, "a,b,c\n1,red ,7\n2, blue,8\n3,red,9\n4,red,7\n")
    table = read_table(path, ("c",), ("c",))
    assert [table.is_text(name) for name in "abc"] == [False, True, True]
    assert table.columns["b"].tolist() == ["red", "blue", "red", "red"]
    assert table.columns["c"].tolist() == ["7", "8", "9", "7"]


def test_words_among_numbers_are_refused_unless_said_to_be_names(tmp_path):
    path = _written(tmp_path, "a,y\n1,1\n2,2\nlots,3\n4,4\n")
    with pytest.raises(UserError, match=r"line 4, column 'a' holds 'lots', but 3 of its 4 cells"):
        read_table(path, ("y",))
    assert read_table(path, ("y",), ("a",)).is_text("a")


@pytest.mark.parametrize(("cell", "count"), [("", 1), ("NA", 1), ("none", 1)])
def test_a_missing_word_is_refused_like_a_missing_number(tmp_path, cell, count):
    path = _written(tmp_path, f"a,y\nred,1\n{cell},2\nred,3\nblue,4\n")
    with pytest.raises(UserError, match=rf"line 3, column 'a' .*\({count} of 4 rows have such"):
        read_table(path, ("y",))


COLOURS = np.array(["red", "blue", "red", "green", "blue", "red", "red", "blue", "red", "grey"])


def test_text_becomes_one_covariate_a_level_of_the_training_part():
    sizes = np.arange(10.0) ** 2
    table = Table(("colour", "size"), ("y",), {"colour": COLOURS, "size": sizes, "y": sizes})
    found = covariates(table, np.arange(9))
    assert found.names == ("colour=blue", "colour=green", "colour=red", "size")
    np.testing.assert_array_equal(found.x[:4, :3], [[0, 0, 1], [1, 0, 0], [0, 0, 1], [0, 1, 0]])
    np.testing.assert_array_equal(found.x[9, :3], 0)
    np.testing.assert_allclose(found.x[:9, 3].std(), 1)
    np.testing.assert_allclose(found.x * found.scale + found.shift, np.c_[found.x[:, :3], sizes])
    assert found.remarks == (
        "Text, made one-hot: colour (3 levels).",
        "Not in the training part, so zero everywhere: 'grey' of colour.",
    )


def test_text_with_one_level_in_training_is_left_out(rng):
    words, x = np.array(["a"] * 8 + ["b"]), rng.normal(size=9)
    found = covariates(Table(("w", "x"), ("y",), {"w": words, "x": x, "y": x}), np.arange(8))
    assert found.names == ("x",)
    assert found.remarks == ("Left out, because constant in the training part: w.",)


@pytest.mark.parametrize("levels", [50, 51])
def test_fifty_levels_are_the_most(levels):
    words = np.array([f"w{k}" for k in range(levels)] * 2)
    table = Table(("w",), ("y",), {"w": words, "y": np.arange(2.0 * levels)})
    if levels == 50:
        assert len(covariates(table, np.arange(100)).names) == 50
        return
    with pytest.raises(
        UserError, match=r"column 'w' holds 51 different words in 102 rows; at most"
    ):
        covariates(table, np.arange(102))


def _table(**columns) -> Table:
    return Table(("a",), tuple(columns), {"a": np.arange(4.0), **columns})


WORDS, COUNTS, NUMBERS = np.array(["u", "v"] * 2), np.arange(4.0), np.arange(4.0) - 1


def test_the_loss_follows_the_target():
    assert loss_for(_table(y=WORDS), None) == LossSpec("softmax")
    assert loss_for(_table(y=NUMBERS, z=COUNTS), None) == LossSpec("squared")
    assert loss_for(_table(y=COUNTS), LossSpec("poisson")) == LossSpec("poisson")
    assert loss_for(_table(y=WORDS), LossSpec("hinge")) == LossSpec("hinge")


@pytest.mark.parametrize(
    ("table", "loss", "message"),
    [
        (
            _table(y=WORDS),
            "huber",
            r"--loss huber is for numbers, and target 'y' holds text; use s",
        ),
        (_table(y=COUNTS), "softmax", r"is for classes, .*numbers; .*add --categorical 'y'"),
        (
            _table(y=NUMBERS),
            "poisson",
            r"is for counts, and target 'y' is -1 in a row; use squared",
        ),
        (
            _table(y=COUNTS, z=WORDS),
            "squared",
            r"'z' holds text, .* learnt alone: give one --target",
        ),
    ],
)
def test_a_loss_for_other_targets_is_refused(table, loss, message):
    with pytest.raises(UserError, match=message):
        loss_for(table, LossSpec(loss))


def test_classes_are_one_hot_and_one_without_training_rows_is_said():
    words = np.array(["10", "9", "9", "10", "2"])
    table = Table(("a",), ("y",), {"a": np.arange(5.0), "y": words})
    found = answers(table, np.arange(4), LossSpec("softmax"))
    assert found.names == ("2", "9", "10")
    np.testing.assert_array_equal(found.y.argmax(1), [2, 1, 1, 2, 0])
    assert found.remarks == ("Classes that no training row shows: '2'.",)


def test_counts_are_scaled_by_their_mean():
    found = answers(_table(y=COUNTS), np.array([0, 1, 2]), LossSpec("poisson"))
    np.testing.assert_allclose(found.y[:, 0], COUNTS / 1.0)
    assert (found.shift, found.scale) == (0.0, 1.0)


def test_many_columns_are_not_all_listed(tmp_path):
    path = tmp_path / "table.csv"
    names = [f"c{k}" for k in range(30)]
    path.write_text(",".join(names) + "\n" + (",".join("1" * 30) + "\n") * 4, "utf-8")
    with pytest.raises(UserError, match=r"'c7' and 22 more; did you mean 'c9'\?"):
        read_table(path, ("c09",))


@pytest.mark.parametrize("rows", [4, 5, 11, 100])
@pytest.mark.parametrize("share", [0.01, 0.2, 0.99])
def test_a_partition_holds_every_row_once_and_two_in_each_part(rows, share):
    test, train = partition(rows, test_size=share, seed=3)
    np.testing.assert_array_equal(np.sort(np.concatenate([test, train])), np.arange(rows))
    assert min(len(test), len(train)) >= 2


SQUARED = LossSpec("squared")


def test_standardisation_uses_the_training_part_only_and_can_be_undone(rng):
    x, y = rng.normal(size=(17, 2)) * 7 + 3, rng.normal(size=17) * 5
    table = Table(("a", "b"), ("y",), {"a": x[:, 0], "b": x[:, 1], "y": y})
    split, remarks = partitioned(table, SQUARED, test_size=0.3, seed=1)
    test, train = partition(17, test_size=0.3, seed=1)
    assert remarks == ()
    np.testing.assert_allclose(split.x_train.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(split.y_train.std(0), 1)
    np.testing.assert_allclose(split.restored(split.y_test)[:, 0], y[test])
    np.testing.assert_allclose(split.x_train * split.x_scale + split.x_shift, x[train])


def test_a_covariate_that_is_constant_in_training_is_left_out_and_said(rng):
    columns = {"still": np.full(9, 4.0), "moving": rng.normal(size=9), "y": rng.normal(size=9)}
    table = Table(("still", "moving"), ("y",), columns)
    split, remarks = partitioned(table, SQUARED, test_size=0.3, seed=0)
    assert split.features == ("moving",)
    assert split.x_train.shape == (6, 1)
    assert remarks == ("Left out, because constant in the training part: still.",)


def test_a_target_that_is_constant_in_training_is_refused():
    test, _ = partition(8, test_size=0.25, seed=0)
    y = np.zeros(8)
    y[test] = 1.0
    for column, loss in ((y, SQUARED), (np.where(y > 0, "u", "v"), LossSpec("softmax"))):
        table = Table(("a",), ("y",), {"a": np.arange(8.0), "y": column})
        with pytest.raises(UserError, match="target 'y' is constant in the 6 training rows"):
            partitioned(table, loss, test_size=0.25, seed=0)
