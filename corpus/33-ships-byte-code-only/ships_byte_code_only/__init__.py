"""Imports its payload, of which the wheel has the byte code only."""
from ships_byte_code_only import payload

ANSWER = payload.ANSWER
