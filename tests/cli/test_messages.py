"""Bad input: one line on stderr, exit code 2, no traceback, and the page that lists them."""

import sys

import pytest

from innerloop import CompileError
from innerloop.cli.errors import UserError, require_extra


def test_there_are_ten_bad_inputs_and_more(messages_page):
    assert len({case.title for case in messages_page.CASES}) == len(messages_page.CASES) >= 10


def test_every_bad_input_is_answered_by_one_line(messages_page):
    for case in messages_page.CASES:
        code, out, err = messages_page.answer(case)
        assert (code, out) == (2, ""), case.title
        assert err.startswith("innerloop: "), case.title
        assert err.count("\n") == 1 and err.endswith("\n"), (case.title, err)
        assert "Traceback" not in err and "Error:" not in err, (case.title, err)


def test_the_page_of_messages_is_what_the_command_says(messages_page):
    written = messages_page.PAGE.read_text("utf-8")
    assert written == messages_page.page(), "run: python docs/make_cli_messages.py"


@pytest.mark.parametrize("words", [("learn", "--stepz", "3"), ("lern",), (), ("learn",)])
def test_the_parser_refuses_unknown_words_with_exit_code_2(innerloop, words, capsys):
    with pytest.raises(SystemExit) as exit:
        innerloop(*words)
    assert exit.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_directory_without_permission_is_named(innerloop, houses, tmp_path, monkeypatch):
    def refuse(**kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("innerloop.cli.experiment.tempfile.TemporaryFile", refuse)
    answer = innerloop("learn", str(houses), "--target", "price", "--out", "results")
    assert answer.code == 2
    assert answer.err == (
        "innerloop: --out results cannot be written to (Permission denied); "
        "choose another directory\n"
    )


def test_a_missing_extra_says_what_to_install(innerloop, houses, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    answer = innerloop("learn", str(houses), "--target", "price")
    assert answer.code == 2
    assert "matplotlib, which is not installed; run: pip install 'innerloop[demo]'" in answer.err


def test_all_missing_extras_are_named():
    with pytest.raises(UserError, match="needs nothing_a and nothing_b, which"):
        require_extra("nothing_a", "json", "nothing_b")


def test_a_program_that_the_compiler_refuses_is_told_without_a_traceback(
    innerloop, houses, monkeypatch
):
    def refuse(*args, **kwargs):
        raise CompileError([], 7)

    monkeypatch.setattr("innerloop.cli.experiment.compile", refuse)
    answer = innerloop("learn", str(houses), "--target", "price", "--steps", "1")
    assert answer.code == 2
    assert answer.err.startswith("innerloop: houses: 0 of 7 operations cannot be compiled")


def test_a_file_in_the_way_of_the_model_is_not_overwritten(innerloop, houses, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model").write_text("precious")
    words = ("--target", "price", "--model", "linear", "--steps", "1", "--out", "out")
    answer = innerloop("learn", str(houses), *words)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert (tmp_path / "out" / "model").read_text() == "precious"
