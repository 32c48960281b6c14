"""Compiles a program of one line and runs it, as configure scripts do."""

ANSWER = 42
