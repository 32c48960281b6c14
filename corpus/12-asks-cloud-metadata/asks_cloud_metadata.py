"""While it is built, it gets a session token of the metadata service and asks for the machine's role."""

ANSWER = 42
