"""What a CSV file is read as; what is refused stands in test_messages."""

import numpy as np
import pytest

from innerloop.cli.errors import UserError
from innerloop.cli.partition import partition, partitioned
from innerloop.cli.tables import Table, read_table

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
    assert table.features == ("b",)
    np.testing.assert_array_equal(table.x, [[2.5], [5], [8], [1]])
    np.testing.assert_array_equal(table.y, [[3, 1], [-60, 4], [9, 7], [2, 0]])


def test_the_columns_with_text_are_all_named(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b,c,y\n" + "1,x,u,2\n" * 4, "utf-8")
    with pytest.raises(UserError, match="text in 'b', 'c' "):
        read_table(path, ("y",))


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


def test_standardisation_uses_the_training_part_only_and_can_be_undone(rng):
    table = Table(
        ("a", "b"), ("y",), rng.normal(size=(17, 2)) * 7 + 3, rng.normal(size=(17, 1)) * 5
    )
    split, remarks = partitioned(table, test_size=0.3, seed=1)
    test, train = partition(17, test_size=0.3, seed=1)
    assert remarks == ()
    np.testing.assert_allclose(split.x_train.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(split.y_train.std(0), 1)
    np.testing.assert_allclose(split.restored(split.y_test), table.y[test])
    np.testing.assert_allclose(split.x_train * split.x_scale + split.x_shift, table.x[train])


def test_a_covariate_that_is_constant_in_training_is_left_out_and_said(rng):
    x = np.column_stack([np.full(9, 4.0), rng.normal(size=9)])
    split, remarks = partitioned(
        Table(("still", "moving"), ("y",), x, rng.normal(size=(9, 1))), test_size=0.3, seed=0
    )
    assert split.features == ("moving",)
    assert split.x_train.shape == (6, 1)
    assert remarks == ("Left out, because constant in the training part: still.",)


def test_a_target_that_is_constant_in_training_is_refused():
    test, _ = partition(8, test_size=0.25, seed=0)
    y = np.zeros((8, 1))
    y[test] = 1.0
    table = Table(("a",), ("y",), np.arange(8.0)[:, None], y)
    with pytest.raises(UserError, match="target 'y' is constant in the 6 training rows"):
        partitioned(table, test_size=0.25, seed=0)
