"""The tables of an advice as text: costs with their ranges, a row for each strategy."""

from strategies.units import draws_text, share_text, time_text, two_digits

SHORTEST_NS = 100
"""What is below has costs that the model leaves out: a call, a lock."""

NARROW = 80
"""Columns below which a table row becomes a few lines."""


def time(ns):
    """Return a time with two digits: more is not known of it."""
    if ns < SHORTEST_NS:
        return f"< {SHORTEST_NS} ns"
    return time_text(ns)


def spread(quantity, form):
    """Return `value (low to high)`, low and high in the unit of the value."""
    value, low, high = (quantity[key] for key in ("value", "low", "high"))
    text = form(value)
    if low == high or text.startswith("<"):
        return text
    unit = 0.01 if form is share_text else value / float(text.split()[0].replace(",", "")) or 1.0
    return f"{text} ({two_digits(low / unit)} to {two_digits(high / unit)})"


def _table(head, rows, width):
    """Yield rows as aligned columns, or where the terminal is narrow as a few lines each."""
    if width < NARROW:
        for name, *cells in rows:
            yield name
            yield from (f"  {label}: {cell}" for label, cell in zip(head[1:], cells, strict=True))
        return
    table = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (cell.ljust(size) for cell, size in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def interval_table(priced, width):
    """Return what each strategy costs in an interval, and in how many draws it is least."""
    head = ("strategy", "harvest", "guest stall", "CPU time", "least in")
    rows = [
        (
            c["strategy"],
            spread(c["harvest_ns"], time),
            spread(c["stall_fraction"], share_text),
            spread(c["cpu_ns"], time),
            draws_text(c["share"]),
        )
        for c in priced
    ]
    return _table(head, rows, width)


def once_table(priced, width):
    """Return what each strategy costs once: to start, at the last harvest, to end."""
    head = (
        "strategy",
        "start of the log",
        "last harvest, vCPUs stopped",
        "end (no time judges it)",
    )
    keys = ("enable_ns", "last_harvest_ns", "disable_ns")
    rows = [(c["strategy"], *(spread(c[key], time) for key in keys)) for c in priced]
    return _table(head, rows, width)


def worst_table(priced, width):
    """Return what the single intervals of a trace cost at their worst."""
    head = ("strategy", "harvest p99", "harvest worst", "stall p99", "stall worst")
    rows = [
        (
            c["strategy"],
            *(time(c[f"{rank}_harvest_ns"]["value"]) for rank in ("p99", "worst")),
            *(share_text(c[f"{rank}_stall"]["value"]) for rank in ("p99", "worst")),
        )
        for c in priced
    ]
    return _table(head, rows, width)
