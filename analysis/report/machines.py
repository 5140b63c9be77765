"""The reference beside a second machine, in words and as a table of texts."""

from analysis.measured.carried import FAR, agreement, pairs, spread, versus
from analysis.report.tables import FAULTS, SCAN
from analysis.report.wording import draws, factor, two_digits
from strategies.plural import plural
from strategies.units import size_text


def clean_slots(carried):
    """Return how many times as long the scan of a clean slot takes as its bitmap, both machines."""
    return versus(carried.cells[carried.cells["density"] == 0], SCAN, FAULTS)


def absolute(carried):
    """Return by what factor the times of the two machines differ."""
    found = spread(carried.cells["ratio"])
    return (
        f"harvests take {two_digits(found['p50'])} times as long (median of "
        f"{found['count']:,} cells; 5% to 95% of them: {factor(found['p5'], found['p95'])} times; "
        f"extremes: {factor(found['least'], found['most'])} times; {found['within_two']:,} lie "
        "within a factor of two)"
    )


def comparisons(carried):
    """Return how far comparisons of trackers are the same on both machines."""
    clean = spread(clean_slots(carried)["ratio"])
    found = agreement(pairs(carried.cells, carried.noise))
    same = draws(found["same"] / found["pairs"])
    return (
        f"the ratio of scan to bitmap on a clean slot is {factor(clean['least'], clean['most'])} "
        f"times the reference's ({clean['count']} slots), and of {found['pairs']:,} pairs of "
        f"trackers in a cell the quicker one is the same in {same} ({found['ties']:,} ties left "
        "out)"
    )


def answer(carried):
    """Return what the answer says of how far measured times carry over."""
    return (
        f"The times measured here are of one machine, {_named(carried.reference)}. On a "
        f"second, {_named(carried.second)}, in {_passes(carried.second)}, {absolute(carried)}; "
        f"{comparisons(carried)} "
        f"(*measured*). {_limits(carried)}"
    )


def said(carried):
    """Return what the report says beside the figure."""
    found = agreement(pairs(carried.cells, carried.noise))
    turned = found["pairs"] - found["same"]
    most = (
        f" Where it is the other one ({turned:,} pairs), the quicker of the reference takes at "
        f"most {two_digits(found['turned_most'])} times as long as it."
        if turned
        else ""
    )
    return (
        f"The same suite was run on {_named(carried.second)}: {_when(carried.second)}; the "
        f"reference is {_named(carried.reference)}: {_when(carried.reference)}. On the "
        f"second machine {absolute(carried)}; {comparisons(carried)}.{most} Of the "
        f"{found['far']:,} pairs that differ on the reference by a factor of "
        f"{FAR} or more it is the same in {found['far_same']:,} "
        "(*measured*; cells that both machines have, medians, less than "
        "100 ns counts as 100 ns, and what is so on both has no ratio; a tie differs on either "
        f"machine by less than its noise). {_limits(carried)}"
    )


def ratios(carried):
    """Return `clean_slots` as people read them."""
    clean = clean_slots(carried)
    columns = {"reference": "reference", "second": "second machine", "ratio": "second / reference"}
    found = clean[[*columns]].map(two_digits).rename(columns=columns)
    labels = {
        "slot": clean["slot_bytes"].map(size_text),
        "pages": clean["page_bytes"].map(size_text),
        "mapping": clean["mapping"],
    }
    return clean[[]].assign(**labels).join(found)


def _named(origin):
    return f"{origin['cpu']} ({origin['num_cpu']} CPUs)"


def _when(origin):
    return f"{_passes(origin)}, {origin['date']}, {origin['commit'][:8]}"


def _passes(origin):
    return plural(len(origin["passes"]), "pass", "es")


def _limits(carried):
    assert {carried.reference["arch"], carried.second["arch"]} == {"x86_64"}, "a machine is no x86"
    return (
        "Two machines tell no range of machines: a third may differ more. Part of it is what else "
        "their hosts did (benchmarks/METHODOLOGY.md). Both are x86, neither is POWER, of which "
        "these times tell nothing."
    )
