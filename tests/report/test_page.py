"""The page stands alone, says what the results say, and is drawn from them only."""

import dataclasses
import re
import sys
from html import escape
from html.parser import HTMLParser

import numpy as np
import pytest

from innerloop.report import save_results, write_report
from innerloop.report.canvas import labelled_steps, ramp, spread, svg
from innerloop.report.page import page
from innerloop.report.scores import scores_figure
from innerloop.report.stream import stream_figure

FETCHING = re.compile(r"""(?:src|href)\s*=\s*["'](?!#)|url\((?!#)|@import|<script|<link|<iframe""")
VOID = {"meta", "br", "img", "hr", "link", "input"}


class Balance(HTMLParser):
    """Notes every element that is closed out of order."""

    def __init__(self):
        super().__init__()
        self.open, self.wrong = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """An SVG element without contents."""

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


@pytest.fixture(scope="module")
def html(results):
    return page(results)


def test_nothing_is_fetched(html):
    assert FETCHING.findall(html) == []


def test_the_test_for_fetching_can_fail():
    for fault in ('<img src="a.png">', "<link rel=x>", "url(http://a)", '<a href="http://a">'):
        assert FETCHING.search(fault)


def test_elements_are_balanced(html):
    balance = Balance()
    balance.feed(html)
    assert (balance.open, balance.wrong) == ([], [])


def test_words_of_the_user_cannot_become_markup(html):
    for word in ("<pictures>", "<rule>", "<e>"):
        assert word not in html
    assert "&lt;pictures&gt;" in html and "a &lt;rule&gt; &amp; more" in html
    assert "innerloop learn &#x27;a &amp; b.csv&#x27;" in html


def test_every_study_has_its_figures_its_certificate_and_its_anatomy(html, results):
    assert html.count("<svg") == 3 * len(results.studies)
    assert html.count("<details>") == len(results.studies)
    for study in results.studies:
        assert study.certificate.splitlines()[0] in html
        assert f"{study.transformer_test[-1]:.4f}" in html
    assert html.count('role="img"') == html.count("<svg")


def test_the_page_is_a_function_of_the_saved_results(results, html, tmp_path, monkeypatch):
    save_results(results, tmp_path)
    monkeypatch.setitem(sys.modules, "innerloop.compiler", None)
    assert write_report(tmp_path).read_text("utf-8") == html


def test_scores_far_below_zero_do_not_squeeze_the_figure(results):
    study = results.studies[0]
    low = np.array([-40.0, *study.direct_train[1:]])
    study = dataclasses.replace(study, direct_train=low, transformer_train=low)
    assert "before the first step: -40.00 (training)" in scores_figure(study)


def test_every_live_subspace_is_named_in_the_map(results):
    study = results.studies[0]
    text = stream_figure(study)
    for lifetime in study.lifetimes:
        assert f">{escape(lifetime.name, quote=False)}" in text


def test_the_ramp_darkens():
    brightness = [sum(int(c[k : k + 2], 16) for k in (1, 3, 5)) for c in ramp(30)]
    assert brightness == sorted(brightness, reverse=True) and len(set(ramp(30))) == 30


@pytest.mark.parametrize("last", [0, 1, 2, 3, 50, 137])
def test_the_first_and_the_last_step_are_always_labelled(last):
    steps = labelled_steps(last)
    assert steps[0] == 0 and steps[-1] == last and steps == sorted(set(steps))


def test_labels_are_moved_apart_and_keep_their_order(rng):
    places = rng.normal(size=11)
    moved = spread(places, 0.3)
    assert np.diff(np.sort(moved)).min() > 0.3 - 1e-12
    np.testing.assert_array_equal(np.argsort(moved), np.argsort(places))
    np.testing.assert_allclose(moved.mean(), places.mean())


def test_labels_far_apart_stay(rng):
    np.testing.assert_allclose(spread([3.0, 1.0, 2.0], 0.5), [3.0, 1.0, 2.0])


def test_a_drawing_without_matplotlib_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'innerloop\[demo\]'"):
        svg(lambda figure: None, size=(1.0, 1.0), title="nothing")
