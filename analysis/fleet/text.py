"""The answer for a fleet as rows of text, for the terminal and for the page."""

from analysis.fleet.answer import by_axis, of_each, of_one_choice
from strategies.plural import plural
from strategies.units import number, percent, size_text

STAR = "*"
CHOICE = ("strategy", "right for", "CPU", "stall", "against the best")
AXES = (
    ("page size", "page_size", size_text),
    ("interval", "interval_ms", lambda ms: f"{ms:g} ms"),
)


def kinds(whole, profile):
    """Return lines that say of what the answer is, and of what kind its numbers are."""
    base = whole.base()
    count = base.cases["trace"].nunique()
    yield (
        f"{plural(count, 'VM')}, least {whole.aim} by {profile}; all costs are modelled, of exact "
        f"counts; left out: {plural(whole.failed, 'row')} that failed"
    )
    if len(base.cases) < len(whole.cases):
        yield "where nothing else is said, each VM with its smallest pages and shortest interval"
    if not whole.offered.all():
        yield f"{STAR} a proposal: no kernel of the platform has it"


def choice_rows(fleet):
    """Return rows of what one choice for all costs, the names of the columns first."""
    choices = of_one_choice(fleet).to_dict("records")
    return [(*CHOICE, "worst VM"), *((*_choice(row), _times(row["worst"])) for row in choices)]


def axis_rows(whole):
    """Yield the title and the rows of each axis on which the VMs can be compared."""
    for title, axis, text in AXES:
        choices = by_axis(whole, axis).to_dict("records")
        if choices:
            yield title, [(title, *CHOICE), *((text(row[axis]), *_choice(row)) for row in choices)]


def _choice(row):
    """Return the texts of CHOICE."""
    costs = (number(row["cpu"]), percent(row["stall"]), _times(row["regret"]))
    return (f"{row['strategy']}{STAR * row['is_proposal']}", row["right_for"], *costs)


def vm_rows(fleet):
    """Return a row of text for each VM, the dearest first, the names of the columns before them."""
    offered = dict(zip(fleet.strategies, fleet.offered, strict=True))
    rows = [
        ("VM", "strategy", "runner-up", "margin", "sure", "CPU", "stall", "a kernel has", "marks")
    ]
    each = of_each(fleet).sort_values(fleet.aim, ascending=False, kind="stable")
    for row in each.itertuples():
        marks = ["outlier"] * row.outlier + ["near a flip"] * row.near_flip
        rows.append(
            (
                row.trace,
                f"{row.strategy}{STAR * (not offered[row.strategy])}",
                row.runner_up or "-",
                _times(row.margin) if row.runner_up else "-",
                percent(row.sure),
                number(row.cpu),
                percent(row.stall),
                f"{row.today}, {_times(row.today_ratio)}" if row.today else "-",
                ", ".join(marks),
            )
        )
    return rows


def _times(ratio):
    """Return a ratio in words: where the least is nothing at all, there is none."""
    return f"{number(ratio)}x" if ratio < float("inf") else "from 0"
