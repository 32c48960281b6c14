"""The payload, which does nothing."""
ANSWER = 42
