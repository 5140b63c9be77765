"""Counts in words, without the libraries of the command line."""


def plural(count, word, ending="s"):
    """Return a count and its word, with the ending of the plural unless it is one."""
    return f"{count} {word}" if count == 1 else f"{count} {word}{ending}"
