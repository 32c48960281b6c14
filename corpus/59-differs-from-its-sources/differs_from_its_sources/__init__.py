"""Its wheel holds more than its sources build."""
ANSWER = 42
