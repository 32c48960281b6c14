"""The part that shall not be found."""
ANSWER = 42
