"""Its backend downloads an archive that it would compile, and goes on without it."""

ANSWER = 42
