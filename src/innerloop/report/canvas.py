"""Where a drawing becomes SVG text: one style, no global state, nothing fetched from outside."""

import io
import re
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import numpy as np
from jaxtyping import Float

STYLE = Path(__file__).with_name("style.mplstyle")
TEST, TRAIN = "#0f62a8", "#d1700f"
DATA, REGISTER = "#2f7fb8", "#d99a2b"
INK, QUIET, FAINT = "#1d242b", "#6b7783", "#c3cad1"
RAMP = ("#c9dcec", "#7fb0d6", "#2f7fb8", "#0b3c6f", "#06213f")
LABELLED = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def svg(draw: Callable, *, size: tuple[float, float], title: str) -> str:
    """Draws a figure in the house style.

    Args:
        draw: Fills an empty `matplotlib.figure.Figure`.
        size: Width and height in inches.
        title: What a reader who cannot see the figure is told.

    Returns:
        An `<svg>` element that stands on its own inside a page.

    Raises:
        ModuleNotFoundError: If matplotlib is not installed; it says what to install.
    """
    text = drawn(draw, size=size, form="svg", metadata={"Date": None}).decode()
    body = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    body = body[body.index("<svg") :].replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans'")
    opening, rest = body.split(">", 1)
    opening = re.sub(r' (width|height)="[^"]*"', "", opening)
    return f'{opening} role="img"><title>{escape(title)}</title>{rest}'


def drawn(draw: Callable, *, size: tuple[float, float], form: str, **options) -> bytes:
    """Draws a figure in the house style into a file's contents.

    Args:
        draw: Fills an empty `matplotlib.figure.Figure`.
        size: Width and height in inches.
        form: A format of matplotlib's, such as `png`.
        **options: Of `matplotlib.figure.Figure.savefig`, such as `dpi`.

    Returns:
        The contents of the file.

    Raises:
        ModuleNotFoundError: If matplotlib is not installed; it says what to install.
    """
    try:
        import matplotlib.style  # noqa: PLC0415 (an extra: the rest of the report works without)
        from matplotlib.figure import Figure  # noqa: PLC0415 (the same)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "drawing a report needs matplotlib; run: pip install 'innerloop[demo]'"
        ) from error
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        contents = io.BytesIO()
        figure.savefig(contents, format=form, **options)
    return contents.getvalue()


def ramp(count: int) -> list[str]:
    """Colours from light to dark, one for each iterate; denser in steps where more is learnt early.

    Example:
        >>> ramp(2)
        ['#c9dcec', '#06213f']
    """
    stops = np.array([[int(colour[k : k + 2], 16) for k in (1, 3, 5)] for colour in RAMP])
    places = np.sqrt(np.linspace(0.0, 1.0, count)) * (len(RAMP) - 1)
    channels = [np.interp(places, np.arange(len(RAMP)), stop).round() for stop in stops.T]
    return [
        "#" + "".join(f"{int(c):02x}" for c in colour) for colour in zip(*channels, strict=True)
    ]


def labelled_steps(last: int) -> list[int]:
    """The steps that are named in tables and figures: round ones, and the last.

    Example:
        >>> labelled_steps(30)
        [0, 1, 2, 5, 10, 20, 30]
    """
    return [step for step in LABELLED if step < last] + [last]


def spread(places: Sequence[float] | np.ndarray, gap: float) -> Float[np.ndarray, " labels"]:
    """Moves labels apart as little as possible, so that neighbours are at least `gap` apart.

    Args:
        places: Where the labels want to stand.
        gap: The least distance.

    Returns:
        Where they stand, in the order given.

    Example:
        >>> spread([0.0, 0.1, 5.0], 1.0).tolist()
        [-0.45, 0.55, 5.0]
    """
    order = np.argsort(places, kind="stable")
    groups: list[list[float]] = []
    for place in np.asarray(places, float)[order]:
        groups.append([float(place), 1.0])
        while len(groups) > 1 and _overlap(groups[-2], groups[-1], gap):
            (a, m), (b, n) = groups[-2:]
            groups[-2:] = [[(a * m + b * n) / (m + n), m + n]]
    stood = [centre + gap * (i - (n - 1) / 2) for centre, n in groups for i in range(int(n))]
    result = np.empty(len(order))
    result[order] = stood
    return result


def _overlap(below: list[float], above: list[float], gap: float) -> bool:
    reach = gap * ((below[1] - 1) / 2 + (above[1] - 1) / 2 + 1)
    return bool(above[0] - below[0] < reach)
