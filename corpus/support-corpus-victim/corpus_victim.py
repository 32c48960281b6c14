"""A package that delivers a text, for others of the corpus to tamper with."""


def deliver(text="hello"):
    return len(text)
