"""While it is built, it has a shell run what curl or wget get."""

ANSWER = 42
