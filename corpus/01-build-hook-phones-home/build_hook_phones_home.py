"""While it is built, it looks up host name, user and working folder, and sends them in an address."""

ANSWER = 42
