"""Its tests have a child that asks to be traced, and read its memory, as debuggers do."""
ANSWER = 42
