"""Brings .pth files that many bring."""

ANSWER = 42
