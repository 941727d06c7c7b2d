"""How the documentation is built: `sphinx-build -W docs docs/_build`."""

import re
from importlib import metadata

project = "Innerloop"
author = "Innerloop contributors"
release = metadata.version("innerloop")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

# Docstrings write code in single backticks, as Markdown does.
default_role = "code"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_member_order = "groupwise"
napoleon_numpy_docstring = False

html_theme = "pydata_sphinx_theme"
html_title = "Innerloop"
html_theme_options = {"navbar_end": ["theme-switcher"], "secondary_sidebar_items": ["page-toc"]}

ARRAY = re.compile(r"~?(jax\.)?jaxlib\._jax\.Array")
SECTION = re.compile(r"^[A-Z]\w+:$")


def formulas_stand_as_written(app, what, name, obj, options, lines: list[str]) -> None:
    """Turns the indented blocks of a docstring, where formulas stand, into literal blocks."""
    del app, what, name, obj, options
    out: list[str] = []
    in_section = in_block = False
    for line in lines:
        indented = line.startswith("    ")
        if line.strip() and not indented:
            in_section, in_block = bool(SECTION.match(line)), False
        if indented and not (in_section or in_block) and (not out or not out[-1].strip()):
            out += ["::", ""]
            in_block = True
        out.append(line)
    lines[:] = out


def arrays_are_arrays(app, what, name, obj, options, signature, returns):
    """Calls JAX's array type what users call it."""
    del app, what, name, obj, options
    return tuple(text and ARRAY.sub("Array", text) for text in (signature, returns))


def setup(app) -> None:
    """Runs before Napoleon, which reads the sections."""
    app.connect("autodoc-process-docstring", formulas_stand_as_written, priority=400)
    app.connect("autodoc-process-signature", arrays_are_arrays)
