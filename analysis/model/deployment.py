"""What options say of a deployment: its scenario, and what was assumed."""

from dataclasses import dataclass, replace

from analysis.model.scenario import Scenario, scenario_of_trace
from strategies.errors import InputError
from strategies.units import duration, number, percent, size_text

NS_PER_SECOND = 1e9
NS_PER_MS = 1e6
ROUNDING = 1 + 1e-9
"""60% and 40% are no more than all."""
HUGE = 1 << 21
"""Bytes from which a page is one entry for many base pages."""


@dataclass(frozen=True)
class Options:
    """The deployment as it was asked for; None where an option was not given.

    Attributes
    ----------
    slot, page_size : int
        Bytes.
    density : strategies.units.Density
    dirty_rate : int
        Bytes a second.
    interval : float
        Nanoseconds.
    trace : str
    vcpus : int
    reads : float
        Pages only read per interval / pages of the slot.
    mapping : {"linear", "scattered"}
    resend : float
        Nanoseconds that sending a page again costs; None: nothing.
    """

    slot: int | None = None
    page_size: int | None = None
    density: tuple | None = None
    dirty_rate: int | None = None
    interval: float | None = None
    trace: str | None = None
    vcpus: int = 1
    reads: float = 0.0
    mapping: str = "linear"
    resend: float | None = None

    @property
    def says_anything(self):
        """Whether any option was given."""
        return self != Options()

    @property
    def is_rate(self):
        """Whether what is written is given by the second."""
        return self.dirty_rate is not None or bool(self.density and self.density.per_second)


def pages_of(profile, page_size):
    """Return the bytes of a base page, and base pages of an entry, for a page size or None."""
    base = profile.page_bytes[0]
    if page_size is None:
        return base, 1
    if page_size not in profile.page_bytes:
        accepted = ", ".join(map(size_text, profile.page_bytes))
        raise InputError(
            f"--page-size {size_text(page_size)}: {profile.name} has {accepted}; accepted: these"
        )
    is_huge = page_size >= HUGE
    return (base, page_size // base) if is_huge else (page_size, 1)


def scenario_of(options, profile):
    """Return the scenario of a deployment, and a note on what was assumed or None.

    Raises
    ------
    InputError
        Options are missing, or contradict each other or the profile.
    """
    if options.density is not None and options.dirty_rate is not None:
        raise InputError("--density and --dirty-rate both say what is written; accepted: one")
    if options.trace is None:
        return _stated(options, profile)
    if options.is_rate:
        return _by_shape(options, profile)
    if options.density is not None:
        raise InputError(
            "--trace gives what is written; accepted: it or --density, not both (a rate, as 0.5%/s "
            "or --dirty-rate, goes with both --slot and --interval)"
        )
    if options.reads:
        raise InputError("--trace gives what is read; accepted: it or --reads, not both")
    trace, notes = _trace(options, profile), []
    if options.interval is not None:
        recorded, trace = trace, trace.at_interval(options.interval)
        notes.append(_interval_note(recorded, trace))
    entry = pages_of(profile, options.page_size)[1]
    one = scenario_of_trace(trace, options.vcpus, entry if not _splits(profile) else 1)
    if options.slot is not None:
        slot_pages = _slot(options, profile)[0]
        notes.append(_slot_note(one, slot_pages))
        one = one.scaled_to(slot_pages)
    if one.slot_pages < entry:
        size, slot = size_text(options.page_size), size_text(one.slot_pages * one.page_bytes)
        raise InputError(
            f"--page-size {size}: the slot has {slot}; accepted: with a --slot of more"
        )
    return _with(one, options, entry_pages=entry), " ".join(notes) or None


def _interval_note(recorded, trace):
    times = round(trace.epoch_ms / recorded.epoch_ms)
    own, used = (duration(one.epoch_ms * NS_PER_MS) for one in (recorded, trace))
    if times == 1:
        return f"The interval is the recording's own, {own}: the nearest that it has."
    return f"The interval is {used}, {times} of the recording's {own}: a page counts once in it."


def _slot_note(recorded, slot_pages):
    sizes = (size_text(pages * recorded.page_bytes) for pages in (recorded.slot_pages, slot_pages))
    times = number(slot_pages / recorded.slot_pages)
    return (
        f"The recording's slot is scaled, {' to '.join(sizes)}: {times} times the pages, those "
        "written and read among them, and the words and entries that they touch; shares and "
        "intervals stay."
    )


def _splits(profile):
    return profile.constants["splits"].value == 1


def _with(scenario, options, **others):
    return replace(scenario, mapping=options.mapping, resend_ns=options.resend or 0.0, **others)


def _trace(options, profile):
    from strategies.workloads.trace import load_trace

    base = pages_of(profile, options.page_size)[0]
    return load_trace(options.trace).coarsen(base.bit_length() - 1)


def _stated(options, profile):
    """Return the scenario of slot, density or rate, and interval."""
    what = options.density if options.dirty_rate is None else options.dirty_rate
    given = {"--slot": options.slot, "--density": what, "--interval": options.interval}
    missing = [name for name, value in given.items() if value is None]
    if missing:
        raise InputError(
            f"the deployment lacks {', '.join(missing)}; accepted: all three, or --trace"
        )
    slot_pages, base, entry = _slot(options, profile)
    note = None
    if options.is_rate:
        dirty = _rate(options, base, slot_pages) * options.interval / NS_PER_SECOND
        note = (
            "The rate is taken as pages that differ, in proportion to the interval: an upper bound "
            "(pages written again count once; --trace gives the shape)."
        )
    else:
        dirty = slot_pages * options.density.value
    return _scenario(options, slot_pages, dirty, base, entry), note


def _scenario(options, slot_pages, dirty, base, entry):
    dirty, reads = min(dirty, slot_pages), slot_pages * options.reads
    if dirty + reads > slot_pages * ROUNDING:
        clean = percent(1 - dirty / slot_pages)
        raise InputError(f"--reads must be at most the {clean} of the slot that are not written")
    one = Scenario(
        slot_pages=slot_pages,
        dirty_pages=dirty,
        interval_ns=options.interval,
        vcpus=options.vcpus,
        read_pages=reads,
        page_bytes=base,
    )
    return _with(one, options, entry_pages=entry)


def _slot(options, profile):
    base, entry = pages_of(profile, options.page_size)
    if options.slot % (base * entry):
        size = size_text(base * entry).replace(" ", "")
        raise InputError(f"--slot must be a multiple of {size}, not {options.slot} bytes")
    return options.slot // base, base, entry


def _rate(options, base, slot_pages):
    """Return the pages written in a second."""
    if options.dirty_rate is not None:
        return options.dirty_rate / base
    return options.density.value * slot_pages


def _by_shape(options, profile):
    """Return the scenario of a rate, measured over a second, by the curve W(t) of a recording."""
    if options.slot is None or options.interval is None:
        raise InputError("a rate with --trace needs --slot and --interval; the trace gives W(t)")
    trace = _trace(options, profile)
    slot_pages, base, entry = _slot(options, profile)
    if not len(trace.gfns):
        raise InputError("the trace writes nothing, so it has no curve; accepted: one that writes")
    shape = distinct_pages(trace, options.interval) / distinct_pages(trace, NS_PER_SECOND)
    dirty = _rate(options, base, slot_pages) * shape
    note = (
        f"The rate is of one second; in the interval {shape:.3g} times as many pages differ, "
        f"by the curve of {trace.name}."
    )
    return _scenario(options, slot_pages, dirty, base, entry), note


def distinct_pages(trace, interval_ns):
    """Return W(t): how many distinct pages a recording writes in an interval, on average.

    Linear between multiples of the epoch; beyond the recording's length as over all of it.
    """
    epochs = min(interval_ns / (trace.epoch_ms * NS_PER_MS), trace.epochs)
    below = int(epochs)
    above = min(below + 1, trace.epochs)

    def mean(times):
        merged = trace.merged(times) if times else None
        return merged.density * merged.slot_pages if times else 0.0

    low, high = mean(below), mean(above)
    return low + (high - low) * (epochs - below)
