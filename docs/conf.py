"""Sphinx: Markdown pages, and the reference out of the docstrings. Built with ``sphinx-build -n -W docs OUT``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Optional

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import syncagent

project = "syncagent"
author = "The syncagent developers"
version = release = syncagent.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "syncagent"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
# What others document; their inventories would need a network.
nitpick_ignore_regex = [
    (r"py:.*", r"(collections|contextlib|contextvars|datetime|decimal|exceptiongroup|pathlib|requests|typing)\..*"),
]

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False
napoleon_custom_sections = [("Environment", "params_style")]
copybutton_exclude = ".linenos, .gp, .go"


def _missing(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, contnode: nodes.TextElement
) -> Optional[nodes.Node]:
    """
    Find what a docstring names without its module; let signatures name what has no page.

    Signatures hold type variables, aliases and internals. What a text refers to has to be there.
    """
    if node.get("refdomain") == "py" and not node.get("refspecific"):
        node["refspecific"] = True
        target, kind = node["reftarget"], node["reftype"]
        found = env.domains["py"].resolve_xref(env, node["refdoc"], app.builder, kind, target, node, contnode)
        if found is not None:
            return found
    parent: Optional[nodes.Node] = node
    while parent is not None:
        if isinstance(parent, addnodes.desc_signature):
            return contnode
        if isinstance(parent, nodes.paragraph) and parent.astext().startswith(("Bases: ", "alias of ")):
            return contnode
        parent = parent.parent
    return None


def _not_a_type(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Keep napoleon from taking an attribute's first words, up to a colon, for its type."""
    if what in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]  # an empty comment: what is looked at for a type has no colon then


def _analyze_without_overloads(analyzer: ModuleAnalyzer) -> None:
    """Show the signature that spells its keywords out; the overloads are what type checkers need."""
    _analyze(analyzer)
    analyzer.overloads.clear()


_analyze = ModuleAnalyzer.analyze


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    ModuleAnalyzer.analyze = _analyze_without_overloads  # type: ignore[method-assign] # there is no option for it
    app.connect("autodoc-process-docstring", _not_a_type, priority=400)  # before napoleon's, at 500
    app.connect("missing-reference", _missing)
