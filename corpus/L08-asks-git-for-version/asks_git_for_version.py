"""While it is built, it asks git for revision, tags and history of its own tree, as setuptools_scm
does."""

ANSWER = 42
