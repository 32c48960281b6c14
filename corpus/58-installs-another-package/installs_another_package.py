"""Its backend has pip install a package that is named nowhere in its metadata, from an index that does
not exist."""

ANSWER = 42
