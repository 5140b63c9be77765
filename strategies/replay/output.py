"""What a replay looks like: a table, a JSON document, tidy CSV files."""

import csv
import platform
from pathlib import Path

import numpy as np

from strategies.files import completed
from strategies.plural import plural
from strategies.registry import CHOOSES_BY_COST, base_of
from strategies.units import duration, size_text

HARVEST_COLUMNS = (
    "trace",
    "strategy",
    "epoch",
    "pages_stored",
    "pages_reported",
    "lost",
    "spurious",
    "harvest_ns",
)


def percentile_99(values):
    """Return the 99th percentile by nearest rank: the maximum below 100 values."""
    ranked = np.sort(values)
    return int(ranked[-(-99 * len(ranked) // 100) - 1])


def spread_of(values):
    """Return median, 99th percentile and maximum of nanoseconds, as a row shows them."""
    return {
        "median": float(np.median(values)),
        "p99": percentile_99(values),
        "max": int(max(values)),
    }


def row_of(replay):
    """Return a replay as one JSON row; the baseline reports nothing, so its counts are null."""
    baseline = replay.is_baseline
    return {
        "kind": "simulated",
        "strategy": replay.strategy,
        "epochs": len(replay.harvest_ns),
        "pages_stored": sum(replay.stored),
        "pages_reported": None if baseline else sum(replay.reported),
        "lost": None if baseline else sum(replay.lost),
        "spurious": None if baseline else sum(replay.spurious),
        "harvest_ns": spread_of(replay.harvest_ns),
        "events": replay.events,
        "state_bytes": replay.state_bytes,
    }


SCHEMA = 3


def document(trace, vm, replays, price=None, lane_rows=()):
    """Return the JSON document of a replay (a dict); `price` as for `run_replay`.

    Rows of kind "simulated" come first, then `lane_rows`, of kind "kernel".
    """
    import numba

    rows = [row_of(replay) for replay in replays]
    if price:
        rows = [row | {"modelled": price(one)} for row, one in zip(rows, replays, strict=True)]
    return {
        "schema": SCHEMA,
        "trace": {
            **trace.meta,
            "mean_density": trace.density,
            "reads": trace.read_gfns is not None,
        },
        "machine": {
            "page_size": 1 << vm.page_shift,
            "slot_pages": trace.slot_pages,
            "hpt_order": vm.hpt_order,
            "mapping": vm.mapping,
            "vcpus": vm.vcpus,
            "unit_costs": vm.unit_costs.platform,
            "cpu": cpu_model(),
            "python": platform.python_version(),
            "numba": numba.__version__,
        },
        "rows": [*rows, *lane_rows],
    }


def cpu_model():
    """Return the processor's name as the system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def text_of(doc):
    """Return what was simulated as text for people: two tables under a line on what was run."""
    trace, machine = doc["trace"], doc["machine"]
    rows = [row for row in doc["rows"] if row["kind"] == "simulated"]
    reads = "writes and reads" if trace["reads"] else "writes only, which flatters pte_flush"
    return "\n".join(
        (
            f"{trace['name']}: {plural(trace['epochs'], 'epoch')} of {trace['epoch_ms']:.4g} ms, "
            f"{plural(machine['slot_pages'], 'page')} of {machine['page_size'] >> 10} KiB, "
            f"mean density {trace['mean_density']:.3%}; {reads}{_recorded(trace)}",
            f"{machine['mapping']} mapping, {machine['vcpus']} vCPU, HPT of order "
            f"{machine['hpt_order']}; {machine['cpu']}",
            *_chosen_by(rows, machine["unit_costs"]),
            "",
            "Pages (exact counts, summed over epochs), time of a harvest (measured), state (exact)",
            columns(_summary(rows)),
            "",
            "Events (exact counts, all epochs and harvests; those that never happened left out)",
            columns(_events(rows)),
            *_priced(rows),
        )
    )


def _chosen_by(rows, platform):
    """Yield by whose unit costs a tracker chose, if one did."""
    chose = [row["strategy"] for row in rows if base_of(row["strategy"]) in CHOOSES_BY_COST]
    if chose:
        yield f"{', '.join(chose)} chose by the unit costs of {platform}"


def _recorded(trace):
    size = trace.get("recorded_page_size")
    return f"; recorded in pages of {size_text(size)}, each cut into 4 KiB" if size else ""


def _priced(rows):
    """Yield what the replay would cost on a platform, if it was priced."""
    priced = [row for row in rows if row.get("modelled")]
    if not priced:
        return
    yield "\nThe whole trace, priced (modelled: counts x unit costs; 5 % to 95 % of the draws)"
    keys = ("harvest_ns", "stall_ns", "cpu_ns")
    head = ("strategy", "harvests", "guest stall", "CPU time")
    yield columns(
        [head, *((r["strategy"], *(_range(r["modelled"][k]) for k in keys)) for r in priced)]
    )


def _range(quantity):
    value, low, high = (duration(quantity[key]) for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _summary(rows):
    head = ("strategy", "stored", "reported", "lost", "spurious")
    times = ("median us", "p99 us", "max us", "state bytes")
    yield (*head, *times)
    for row in rows:
        pages = (row[key] for key in ("pages_stored", "pages_reported", "lost", "spurious"))
        ns = row["harvest_ns"]
        yield (
            row["strategy"],
            *("-" if count is None else f"{count}" for count in pages),
            *(f"{ns[key] / 1000:.2f}" for key in ("median", "p99", "max")),
            f"{row['state_bytes']}",
        )


def _events(rows):
    yield ("event", *(row["strategy"] for row in rows))
    for event in rows[0]["events"]:
        counts = [row["events"][event] for row in rows]
        if any(counts):
            yield (event.replace("_", " "), *map(str, counts))


def columns(table):
    """Return rows of text as aligned columns: the first to the left, the others to the right."""
    table = list(table)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for first, *rest in table:
        cells = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        lines.append("  ".join((first.ljust(widths[0]), *cells)))
    return "\n".join(lines)


def harvest_rows(trace, replays):
    """Yield one tidy row per tracker and epoch, in HARVEST_COLUMNS; empty where nothing is."""
    for replay in replays:
        blank = [""] * len(replay.stored)
        found = (replay.reported or blank, replay.lost or blank, replay.spurious or blank)
        columns = zip(replay.stored, *found, replay.harvest_ns, strict=True)
        for epoch, values in enumerate(columns):
            yield (trace.name, replay.strategy, epoch, *values)


def summary_rows(doc):
    """Yield the header and one flat row per tracker; events have a column each."""
    rows = [row for row in doc["rows"] if row["kind"] == "simulated"]
    events = list(rows[0]["events"])
    plain = ("strategy", "epochs", "pages_stored", "pages_reported", "lost", "spurious")
    times = ("median", "p99", "max")
    yield ("trace", *plain, *(f"harvest_ns_{key}" for key in times), "state_bytes", *events)
    for row in rows:
        yield (
            doc["trace"]["name"],
            *("" if row[key] is None else row[key] for key in plain),
            *(row["harvest_ns"][key] for key in times),
            row["state_bytes"],
            *row["events"].values(),
        )


def write_csv(path, rows):
    """Write rows to a file, completely or not at all."""
    with completed(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
