"""Sphinx configuration: numpydoc for the reference, a gallery of runnable examples."""

import os

import skal

os.environ.setdefault("OMP_NUM_THREADS", "1")

project = "skal"
author = "the skal developers"
copyright = f"2026, {author}"
version = release = skal.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "examples"]
html_theme = "alabaster"
html_theme_options = {
    "description": "Active learning for neural networks, as scikit-learn estimators",
    "fixed_sidebar": True,
    "page_width": "1300px",
    "code_font_size": "0.8em",
    "body_max_width": "auto",
}
autosummary_generate = True
autodoc_inherit_docstrings = True
numpydoc_class_members_toctree = False
numpydoc_show_class_members = False
numpydoc_show_inherited_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": "/plot_",
    "within_subsection_order": "FileNameSortKey",
    "doc_module": ("skal",),
    "abort_on_example_error": True,
    "show_memory": False,
    "download_all_examples": False,
}
suppress_warnings = ["config.cache"]
