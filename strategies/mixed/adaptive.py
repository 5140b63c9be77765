"""Fault for cold pages and scan hot ones, by what each way has cost so far."""

from strategies.base import DirtyTracker
from strategies.core import atomics
from strategies.core.changed import (
    ABSENT,
    ABSENT_WRITABLE,
    FINISH,
    FINISH_COLD,
    IN_PLACE,
    is_clean,
    scan_slot,
    test_clear_dirty,
)
from strategies.core.clock import monotonic_ns
from strategies.core.events import (
    BITMAP_WORDS_READ,
    BLOCKS_SWEPT,
    GROUPS_CLOSED,
    PAGES_CLEARED,
    PAGES_PASSED,
    PAGES_REARMED,
    PAGES_SCANNED,
    SHARED_TLBIES,
    WORDS_TAKEN,
    count,
    counted,
)
from strategies.core.groups import claim_group, is_open, open_group
from strategies.core.heat import (
    AGES,
    COSTS,
    DEBT_MASK,
    FAULTS,
    FIRST_WRITE,
    FLUSH,
    HARVEST,
    HEAT_WORDS,
    HOT,
    IS_SWEPT,
    MAX_LEVEL,
    OPEN,
    PAGE_COOL,
    PAGE_OPEN,
    PAGE_SCAN,
    PAID,
    PATIENCE,
    PRICE,
    PS_PER_NS,
    REGRET_COLD,
    REGRET_SWEPT,
    SAVED,
    SPENT,
    SWEEP,
    SWEEP_AGAIN,
    TOTAL,
    WAITED,
    WARM,
    WORD_READ,
    debt_at,
    group_pages,
    group_word,
    heat_start,
    known,
    learn,
    level_of,
    opening_price,
    word_bit,
)
from strategies.core.jit import inlined, kernel
from strategies.core.machine import (
    LOG_HEAT,
    SLOT_BASE_GFN,
    SLOT_BITMAP_WORDS,
    SLOT_DIRTY,
    SLOT_GROUP,
    SLOT_NPAGES,
    SLOT_WORDS,
)
from strategies.core.memslot import (
    PAGES_PER_WORD,
    bitmap_start,
    clear_log,
    report_pages,
    slot_field,
)
from strategies.core.protect import READONLY, change_page, start_logging, stop_logging
from strategies.core.sweep import BLOCK_WORDS, harvest_all, sweeps
from strategies.core.tlb import flush_tlbs, wait_for_shared_tlbies
from strategies.core.vcpus import vcpus_running
from strategies.core.words import I64, ONE, U64, ZERO, ctz, popcount

HPTES_PER_PAGE = 8
"""Up to which a sweep reads the HPT, as the default of hpt_sweep."""

CREDIT = 10
"""A tenth of a fault is what waiting to each age may cost before it has saved anything."""

VOLUME = 1000
"""Faults after whose cost the accounts of ages are halved: what was long ago counts less."""

STOCK = 32
"""Harvests from one count of the warm pages to the next, while everything is swept."""

THRIFT = 8
"""Everything is cooled only if that costs at most an eighth of all that was spent so far."""


@kernel
def _start(machine, slot, pages, out):
    """Forget what is known of a slot, protect all its pages, then clear what C they have."""
    heat = heat_start(machine, slot)
    words = slot_field(machine, slot, SLOT_BITMAP_WORDS)
    for field in range(COSTS):
        atomics.store(machine.heat, heat + field, ZERO)
    for word in range(heat + SAVED, heat + HEAT_WORDS + 2 * words):
        atomics.store(machine.heat, word, ZERO)
    atomics.store(machine.heat, heat + HARVEST, ONE)
    base = slot_field(machine, slot, SLOT_BASE_GFN)
    for gfn in range(base, base + slot_field(machine, slot, SLOT_NPAGES)):
        if atomics.load_own(machine.written, gfn):
            atomics.store_own(machine.written, gfn, ZERO)
    learn(machine, heat, PRICE, max(known(machine, heat, PAGE_SCAN), 1))
    learn(machine, heat, PATIENCE, _longest_patience(machine, heat))
    atomics.store(machine.slots, slot * SLOT_WORDS + SLOT_GROUP, U64(pages))
    start_logging(machine, slot, LOG_HEAT, READONLY)
    scan_slot(machine, slot, out, IN_PLACE)
    flush_tlbs(machine, machine.nvcpus)


@kernel
def _set_cost(machine, slot, field, picoseconds):
    """Set a unit cost, before a log starts."""
    atomics.store(machine.heat, heat_start(machine, slot) + field, U64(picoseconds))


@inlined
def _longest_patience(machine, heat):
    """Return the harvests after which waiting has cost as much as the fault that it may save."""
    return known(machine, heat, FIRST_WRITE) // known(machine, heat, PRICE)


@inlined
def _age_class(age):
    """Return which account an age belongs to: j has those above 2**(j - 1), up to 2**j."""
    j = 0
    while j < AGES - 1 and 1 << j < age:
        j += 1
    return j


@inlined
def _add(machine, heat, field, value):
    learn(machine, heat, field, known(machine, heat, field) + value)


@kernel
def _note_written(machine, heat, gfn):
    """Note that a page was found written; return what a fault would have cost if it was cold.

    The account of its age is told the fault that waiting so long saves, and all accounts up to it
    what waiting costs, as far as the page was too old to have been waited for.
    """
    harvest, patience = known(machine, heat, HARVEST), known(machine, heat, PATIENCE)
    before = I64(atomics.load_own(machine.written, gfn))
    atomics.store_own(machine.written, gfn, U64(harvest))
    fault = known(machine, heat, FIRST_WRITE)
    age = harvest - before
    if not before:
        return fault
    if not age:
        return 0
    last = _age_class(age)
    for j in range(last + 1):
        least = (1 << j) >> 1
        if least >= patience:
            waits = min(age, 1 << j) - least
            _add(machine, heat, SPENT + j, waits * known(machine, heat, PRICE))
    _add(machine, heat, SAVED + last, fault)
    return fault if age > patience else 0


@inlined
def _is_warm(machine, heat, gfn):
    """Say whether a page was written within the patience."""
    before = I64(atomics.load_own(machine.written, gfn))
    age = known(machine, heat, HARVEST) - before
    return before != 0 and age <= known(machine, heat, PATIENCE)


@kernel
def _report(machine, slot, heat, out, page, npages):
    """Report pages of which the first was found written; return as `_note_written`."""
    count(machine, machine.nvcpus, PAGES_CLEARED, 1)
    report_pages(out, page, npages)
    return _note_written(machine, heat, slot_field(machine, slot, SLOT_BASE_GFN) + page)


@kernel
def _take(machine, gfn, action):
    """Do as `test_clear_dirty`, compiled once for all actions."""
    return test_clear_dirty(machine, gfn, action)


@kernel
def _look_at_word(machine, slot, heat, number, mask, out, action):
    """Take C of the hot pages that a word names; return how many are warm, and faults saved.

    A page that is old and clean has cost a look; what it cost while it was warm is put to its age.
    """
    base = slot_field(machine, slot, SLOT_BASE_GFN)
    warm, saved = I64(0), I64(0)
    passed = I64(0)
    all_pages = popcount(mask)
    while mask:
        page = number * PAGES_PER_WORD + ctz(mask)
        mask &= mask - ONE
        if is_clean(machine, base + page, action):
            npages = 0
            passed += 1
        else:
            npages = _take(machine, base + page, action)
        if npages:
            saved += _report(machine, slot, heat, out, page, npages)
            warm += 1
        elif _is_warm(machine, heat, base + page):
            before = I64(atomics.load_own(machine.written, base + page))
            age = known(machine, heat, HARVEST) - before
            _add(machine, heat, SPENT + _age_class(age), known(machine, heat, PRICE))
            warm += 1
    count(machine, machine.nvcpus, PAGES_PASSED, passed)
    count(machine, machine.nvcpus, PAGES_SCANNED, all_pages - passed)
    return warm, saved


@kernel
def _weigh_group(machine, slot, heat, group, warm, saved):
    """Settle a group's debt after a harvest that looked at it; return whether it is open.

    A closed group pays the scan of its cold pages, which it did without; an open one owes that,
    less the faults it is spared, and closes at the price of opening it. It was worth opening if it
    was once spared the faults before it and the price of opening and cooling.
    """
    at = heat + HEAT_WORDS + group
    pages = group_pages(machine, slot, group)
    limit = opening_price(machine, heat, pages)
    harvest = known(machine, heat, HARVEST)
    idle = (pages - warm) * known(machine, heat, PAGE_SCAN) // PS_PER_NS
    spared = saved // PS_PER_NS
    while True:
        word = atomics.load(machine.heat, at)
        level, flags = level_of(word), word & (OPEN | PAID)
        if word & OPEN:
            debt = max(I64(word & DEBT_MASK) + idle - spared, 0)
            if spared >= 3 * limit:
                flags |= PAID
            if debt >= limit:
                level = max(level - 1, 0) if flags & PAID else min(level + 1, MAX_LEVEL)
                flags, debt = ZERO, I64(0)
        else:
            debt = max(debt_at(machine, heat, word, pages, harvest - 1) - idle, 0)
        new = group_word(flags, level, harvest, debt)
        if atomics.compare_and_swap(machine.heat, at, word, new) == word:
            if word & OPEN and not new & OPEN:
                count(machine, machine.nvcpus, GROUPS_CLOSED, 1)
            return new & OPEN != ZERO


@kernel
def _cool_word(machine, slot, heat, number, mask, out, seen):
    """Make pages that a word names cold: their bits go first, then the permission.

    What stores still come through a translation is found by the second look, after the flush.
    """
    word = bitmap_start(machine, slot, 1) + number
    atomics.fetch_and(machine.bitmap, word, ~mask)
    atomics.store_own(seen, number, atomics.load_own(seen, number) | mask)
    count(machine, machine.nvcpus, PAGES_REARMED, popcount(mask))
    base = slot_field(machine, slot, SLOT_BASE_GFN)
    while mask:
        page = number * PAGES_PER_WORD + ctz(mask)
        mask &= mask - ONE
        if machine.delayed_c:
            npages = _take(machine, base + page, ABSENT_WRITABLE)
            if npages:
                _report(machine, slot, heat, out, page, npages)
        else:
            change_page(machine, machine.nvcpus, base + page, READONLY)


@kernel
def _old_pages(machine, slot, heat, number, mask):
    """Return which of the pages that a word names are no longer warm."""
    base = slot_field(machine, slot, SLOT_BASE_GFN) + number * PAGES_PER_WORD
    old, rest = ZERO, mask
    while rest:
        if not _is_warm(machine, heat, base + ctz(rest)):
            old |= rest & (~rest + ONE)
        rest &= rest - ONE
    return old


@kernel
def _cool_group(machine, slot, heat, first, words, out, seen):
    """Make those pages cold that are no longer warm, of the words of the bitmap from `first` on."""
    start = bitmap_start(machine, slot, 1)
    count(machine, machine.nvcpus, BITMAP_WORDS_READ, popcount(words))
    while words:
        number = first + ctz(words)
        words &= words - ONE
        mask = atomics.load(machine.bitmap, start + number)
        old = _old_pages(machine, slot, heat, number, mask)
        if old:
            _cool_word(machine, slot, heat, number, old, out, seen)
        if old == mask:
            _drop_word(machine, slot, number)


@kernel
def _drop_word(machine, slot, number):
    """Take away the bit of a word with no hot page; one heated meanwhile brings it back."""
    at, mask = word_bit(machine, slot, number)
    atomics.fetch_and(machine.heat, at, ~mask)
    if atomics.load(machine.bitmap, bitmap_start(machine, slot, 1) + number):
        atomics.fetch_or(machine.heat, at, mask)


@kernel
def _harvest_group(machine, slot, heat, first, words, out, seen, action, begun):
    """Take C of a group's hot pages, cool those that are due; return how many are hot.

    `words` are those with hot pages, as bits, from word `first` of the bitmap on. Cooling needs a
    flush: it waits for a harvest that makes one anyway, or until waiting has cost as much.
    """
    start = bitmap_start(machine, slot, 1)
    group = (first + ctz(words)) * PAGES_PER_WORD // slot_field(machine, slot, SLOT_GROUP)
    hot, warm, saved, rest = I64(0), I64(0), I64(0), words
    while rest:
        number = first + ctz(rest)
        rest &= rest - ONE
        mask = atomics.load(machine.bitmap, start + number)
        hot += popcount(mask)
        if machine.delayed_c:
            atomics.store_own(seen, number, atomics.load_own(seen, number) | mask)
        n, spared = _look_at_word(machine, slot, heat, number, mask, out, action)
        warm += n
        saved += spared
    count(machine, machine.nvcpus, BITMAP_WORDS_READ, popcount(words))
    if _weigh_group(machine, slot, heat, group, warm, saved) or hot == warm:
        return hot
    flushes = counted(machine, machine.nvcpus, PAGES_CLEARED) > begun
    if flushes or known(machine, heat, WAITED) >= known(machine, heat, FLUSH):
        _cool_group(machine, slot, heat, first, words, out, seen)
        return warm
    _add(machine, heat, WAITED, (hot - warm) * known(machine, heat, PRICE))
    return hot


@kernel
def _look_again(machine, slot, heat, out, seen, words):
    """Look at C of the pages that were cooled, once more; return how many had it.

    A store that was under way when its page became read-only may have set C after the first look.
    """
    found = I64(0)
    base = slot_field(machine, slot, SLOT_BASE_GFN)
    for number in range(words):
        mask = atomics.load_own(seen, number)
        while mask:
            page = number * PAGES_PER_WORD + ctz(mask)
            mask &= mask - ONE
            if not is_clean(machine, base + page, IN_PLACE):
                npages = _take(machine, base + page, IN_PLACE)
                if npages:
                    _report(machine, slot, heat, out, page, npages)
                    found += 1
    return found


@kernel
def _finish(machine, slot, heat, out, seen, words):
    """Make the HPTEs valid again that the harvest made absent: C clear, cold pages read-only."""
    base = slot_field(machine, slot, SLOT_BASE_GFN)
    for number in range(words):
        mask = atomics.load_own(seen, number)
        while mask:
            page = number * PAGES_PER_WORD + ctz(mask)
            mask &= mask - ONE
            is_hot = is_open(machine, slot, LOG_HEAT, base + page)
            action = FINISH if is_hot else FINISH_COLD
            npages = _take(machine, base + page, action)
            if npages:
                report_pages(out, page, npages)
                _note_written(machine, heat, base + page)


@kernel
def _take_marks(machine, slot, out, words):
    """Report what the host's own stores have marked, if it ever stored."""
    if not slot_field(machine, slot, SLOT_DIRTY):
        return
    count(machine, machine.nvcpus, BITMAP_WORDS_READ, words)
    start = bitmap_start(machine, slot, 0)
    for number in range(words):
        if atomics.load(machine.bitmap, start + number):
            count(machine, machine.nvcpus, WORDS_TAKEN, 1)
            mask = atomics.exchange(machine.bitmap, start + number, ZERO)
            atomics.store_own(out, number, atomics.load_own(out, number) | mask)


@inlined
def _groups(machine, slot):
    """Return how many groups a slot has."""
    pages = slot_field(machine, slot, SLOT_GROUP)
    return (slot_field(machine, slot, SLOT_NPAGES) + pages - 1) // pages


@kernel
def _harvest_hot(machine, slot, heat, out, seen, action):
    """Harvest all groups with a hot page; return how many pages were hot and stay so."""
    hot = I64(0)
    begun = counted(machine, machine.nvcpus, PAGES_CLEARED)
    read = counted(machine, machine.nvcpus, BITMAP_WORDS_READ)
    start, _ = word_bit(machine, slot, 0)
    words = slot_field(machine, slot, SLOT_BITMAP_WORDS)
    looked = (words + PAGES_PER_WORD - 1) // PAGES_PER_WORD
    per_group = slot_field(machine, slot, SLOT_GROUP) // PAGES_PER_WORD
    for k in range(looked):
        mask = atomics.load(machine.heat, start + k)
        while mask:
            low = ctz(mask) // per_group * per_group
            group = mask & ~ZERO >> U64(PAGES_PER_WORD - per_group) << U64(low)
            mask &= ~group
            first = k * PAGES_PER_WORD
            hot += _harvest_group(machine, slot, heat, first, group, out, seen, action, begun)
    count(machine, machine.nvcpus, BITMAP_WORDS_READ, looked)
    read = counted(machine, machine.nvcpus, BITMAP_WORDS_READ) - read
    price = known(machine, heat, PAGE_SCAN) + read * known(machine, heat, WORD_READ) // max(hot, 1)
    learn(machine, heat, PRICE, max(price, 1))
    return hot


@kernel
def _settle_patience(machine, heat):
    """Choose the patience: up to the age to which waiting has earned most.

    No longer than until a page has cost the fault that it may save (ski rental).
    """
    fault = known(machine, heat, FIRST_WRITE)
    earned, most, volume, patience = I64(0), I64(0), I64(0), I64(0)
    for j in range(AGES):
        saved, spent = known(machine, heat, SAVED + j), known(machine, heat, SPENT + j)
        volume += saved + spent
        earned += saved - spent + fault // CREDIT
        if earned >= most:
            most, patience = earned, I64(1) << j
    if volume > VOLUME * fault:
        for field in range(SAVED, SPENT + AGES):
            learn(machine, heat, field, known(machine, heat, field) // 2)
    learn(machine, heat, PATIENCE, min(patience, _longest_patience(machine, heat)))


@kernel
def _open_all(machine, slot, heat):
    """Make every page of a slot hot."""
    pages = slot_field(machine, slot, SLOT_GROUP)
    base = slot_field(machine, slot, SLOT_BASE_GFN)
    for group in range(_groups(machine, slot)):
        claim_group(machine, machine.nvcpus, slot, base + group * pages)
        open_group(machine, machine.nvcpus, base + group * pages)


@kernel
def _close_groups(machine, slot, heat):
    """Close all groups: the next harvest cools their pages that are no longer warm."""
    for group in range(_groups(machine, slot)):
        atomics.exchange(machine.heat, heat + HEAT_WORDS + group, ZERO)


@kernel
def _weigh_sweep(machine, slot, heat, hot, faults, missed, any_dirty):
    """Choose how the next harvest scans, where a sweep of everything is offered.

    What is hot is scanned page by page as long as that costs less. When faults and scans have cost
    more than a sweep of everything by what opening and cooling the rest would, all becomes hot.
    When sweeps have cost more than the warm pages would by what cooling does, the next harvest
    looks page by page, and cools.
    """
    npages = slot_field(machine, slot, SLOT_NPAGES)
    swept = atomics.load(machine.heat, heat + IS_SWEPT) != ZERO
    sweep = known(machine, heat, SWEEP) + any_dirty * known(machine, heat, SWEEP_AGAIN)
    scan = hot * known(machine, heat, PAGE_SCAN)
    toggle = known(machine, heat, PAGE_OPEN) + known(machine, heat, PAGE_COOL)
    paid = faults * known(machine, heat, FIRST_WRITE) + (0 if swept else scan - sweep)
    regret = max(known(machine, heat, REGRET_COLD) + paid, 0)
    if hot < npages and regret >= (npages - hot) * toggle:
        _open_all(machine, slot, heat)
        hot, regret = npages, I64(0)
    learn(machine, heat, REGRET_COLD, regret)
    learn(machine, heat, HOT, hot)
    next_swept = hot * known(machine, heat, PAGE_SCAN) > sweep
    if swept:
        warm = known(machine, heat, WARM) * known(machine, heat, PAGE_SCAN) + missed
        regret = max(known(machine, heat, REGRET_SWEPT) + sweep - warm, 0)
        cooling = hot * toggle
        if regret >= cooling and known(machine, heat, TOTAL) >= THRIFT * cooling:
            _close_groups(machine, slot, heat)
            next_swept, regret = False, I64(0)
        learn(machine, heat, REGRET_SWEPT, regret)
    atomics.store(machine.heat, heat + IS_SWEPT, U64(next_swept))


@kernel
def _settle(machine, slot, heat, hot, missed, any_dirty):
    """Learn from a harvest, at its end."""
    faults = I64(atomics.exchange(machine.heat, heat + FAULTS, ZERO))
    swept = atomics.load(machine.heat, heat + IS_SWEPT) != ZERO
    scan = known(machine, heat, SWEEP) if swept else hot * known(machine, heat, PRICE)
    _add(machine, heat, TOTAL, faults * known(machine, heat, FIRST_WRITE) + scan)
    if known(machine, heat, SWEEP):
        _weigh_sweep(machine, slot, heat, hot, faults, missed, any_dirty)
    _settle_patience(machine, heat)
    atomics.store(machine.heat, heat + HARVEST, U64(known(machine, heat, HARVEST) + 1))


@kernel
def _get_dirty_log(machine, slot, out, seen, words, is_definitive):
    """Take C of the hot pages, cool those that are due, flush once; return nanoseconds.

    Where a TLB may keep C back, HPTEs are absent meanwhile, as in c_bit_scan_batched.
    """
    start = monotonic_ns()
    heat = heat_start(machine, slot)
    clear_log(out, words)
    cleared = counted(machine, machine.nvcpus, PAGES_CLEARED)
    cooled = counted(machine, machine.nvcpus, PAGES_REARMED)
    begun = counted(machine, machine.nvcpus, SHARED_TLBIES)
    if machine.delayed_c:
        action = ABSENT_WRITABLE if is_definitive else ABSENT
        hot = _harvest_hot(machine, slot, heat, out, seen, action)
        if counted(machine, machine.nvcpus, SHARED_TLBIES) > begun:
            wait_for_shared_tlbies(machine, machine.nvcpus)
        _finish(machine, slot, heat, out, seen, words)
    else:
        hot = _harvest_hot(machine, slot, heat, out, seen, IN_PLACE)
    any_dirty = counted(machine, machine.nvcpus, PAGES_CLEARED) > cleared
    any_cooled = counted(machine, machine.nvcpus, PAGES_REARMED) > cooled
    if any_cooled:
        learn(machine, heat, WAITED, 0)
    if not machine.delayed_c and (any_dirty or any_cooled):
        flush_tlbs(machine, machine.nvcpus)
        if any_cooled and _look_again(machine, slot, heat, out, seen, words):
            flush_tlbs(machine, machine.nvcpus)
    _take_marks(machine, slot, out, words)
    _settle(machine, slot, heat, hot, 0, any_dirty)
    return monotonic_ns() - start


@kernel
def _take_stock(machine, slot, heat):
    """Count the pages that are warm, and those that are hot."""
    base = slot_field(machine, slot, SLOT_BASE_GFN)
    pages = slot_field(machine, slot, SLOT_NPAGES)
    warm = hot = I64(0)
    for gfn in range(base, base + pages):
        warm += I64(_is_warm(machine, heat, gfn))
    start = bitmap_start(machine, slot, 1)
    for word in range(start, start + slot_field(machine, slot, SLOT_BITMAP_WORDS)):
        hot += popcount(atomics.load(machine.bitmap, word))
    learn(machine, heat, WARM, warm)
    learn(machine, heat, HOT, hot)
    count(machine, machine.nvcpus, BLOCKS_SWEPT, pages // BLOCK_WORDS)
    count(machine, machine.nvcpus, BITMAP_WORDS_READ, slot_field(machine, slot, SLOT_BITMAP_WORDS))


@kernel
def _is_swept(machine, slot):
    """Say whether the next harvest sweeps."""
    return atomics.load(machine.heat, heat_start(machine, slot) + IS_SWEPT) != ZERO


@kernel
def _after_sweep(machine, slot, out, words):
    """Learn from a sweep, whose pages are in `out`; return nanoseconds."""
    start = monotonic_ns()
    heat = heat_start(machine, slot)
    base = slot_field(machine, slot, SLOT_BASE_GFN)
    missed, any_dirty = I64(0), False
    for number in range(words):
        mask = atomics.load_own(out, number)
        any_dirty |= mask != ZERO
        while mask:
            gfn = base + number * PAGES_PER_WORD + ctz(mask)
            missed += _note_written(machine, heat, gfn)
            mask &= mask - ONE
    _take_marks(machine, slot, out, words)
    if known(machine, heat, HARVEST) % STOCK == 0 or not known(machine, heat, WARM):
        _take_stock(machine, slot, heat)
    _settle(machine, slot, heat, known(machine, heat, HOT), missed, any_dirty)
    return monotonic_ns() - start


class Adaptive(DirtyTracker):
    """Start write-protected; scan pages that faults have shown to be hot, and let them cool again.

    A proposal on every platform; no kernel has it. Unit costs are those of the platform that the
    machine stands for (`Vm.unit_costs`); the rules have one set of numbers for all. All that it
    learns is exact counts times these costs:

    - *Pages.* A fault makes its page hot: writable, and scanned for C by each harvest. It stays so
      for `patience` harvests after its last store. For each age, in classes of powers of two, an
      account holds the faults that waiting to that age has saved and the looks it has cost; the
      patience is where the sum from age 0 on is greatest, at most what a fault costs divided by
      what a look costs (ski rental).
    - *Groups.* A fault raises its group's debt, time lowers it by what scanning the whole group
      would have cost. At half the price of opening and cooling the group, the fault handler opens
      all of it; an open group owes what its cold pages cost, less the faults it is spared, and
      closes at the same price. If it was not worth opening, it opens next time at twice the price.
    - *Everything.* Where the platform offers a cheaper exact scan (`hpt_sweep`, or the pipelined
      scan of an HPT too large for that), the hot pages are swept when that costs less than to
      look at each; all pages become hot, or are cooled, when the other way has cost more than this
      one by the price of the change.

    That it costs at most so many times what the best other tracker does is shown empirically, not
    proved: `analysis/model/adversaries.py`. Only for a page alone, with the longest patience, a
    bound is known: at most twice the best choice made with hindsight, as in ski rental.

    A cold page's HPTEs are read-only with C clear. Cooling takes the page's bit first, then the
    permission, then a flush, and then looks at C again. Where TLBs keep C back
    (`Vm(delayed_c=True)`) HPTEs are absent while C is taken, as in c_bit_scan_batched; a harvest
    with no vCPU running is definitive. `core/heat` and `core/groups` say what a fault does. Large
    pages report every page they cover.

    Its parameter is the number of pages of a group.
    """

    name = "adaptive"
    bitmaps = 2

    def _enable(self, slot):
        before = self.buffer(slot)  # what was written before is not reported
        self._set_costs(slot)
        _start(self.vm.machine, slot, self.value, atomics.address_of(before))

    def _set_costs(self, slot):
        """Put the unit costs, in picoseconds, where the harvest and the fault handler read them."""
        vm, costs = self.vm, self.vm.unit_costs
        groups, npages = vm.machine.group_mask + 1, vm.slots[slot][1]
        again = groups * costs.block_sweep
        clean = again + -(-npages // BLOCK_WORDS) * costs.block_sweep
        if not sweeps(vm, slot, HPTES_PER_PAGE):
            clean, again = npages * costs.page_pass, 0
        for field, ns in enumerate((*costs[1:], clean, again)):
            _set_cost(vm.machine, slot, COSTS + field, round(ns * PS_PER_NS))

    def _disable(self, slot):
        stop_logging(self.vm.machine, slot)

    def _harvest(self, slot, out):
        machine = self.vm.machine
        address = atomics.address_of(out)
        if _is_swept(machine, slot):
            ns = harvest_all(self.vm, slot, out, HPTES_PER_PAGE)
            return ns + _after_sweep(machine, slot, address, out.size)
        seen = self.buffer(slot)
        is_definitive = bool(machine.delayed_c and not vcpus_running(machine))
        return _get_dirty_log(
            machine, slot, address, atomics.address_of(seen), out.size, is_definitive
        )
