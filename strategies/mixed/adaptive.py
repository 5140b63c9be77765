"""Fault for cold pages and scan hot ones, by what each way has cost so far."""

from strategies.base import DirtyTracker
from strategies.core import atomics
from strategies.core.changed import ABSENT, ABSENT_WRITABLE, IN_PLACE, is_clean, scan_slot
from strategies.core.clock import monotonic_ns
from strategies.core.events import (
    BITMAP_WORDS_READ,
    PAGES_CLEARED,
    PAGES_PASSED,
    PAGES_REARMED,
    PAGES_SCANNED,
    SHARED_TLBIES,
    WHOLE_FLUSHES,
    WORDS_TAKEN,
    count,
    counted,
)
from strategies.core.heat import (
    COSTS,
    FAULTS,
    FLUSH,
    HARVEST,
    HEAT_WORDS,
    HOT,
    IS_FLUSHED,
    MAY_BE_HOT,
    PAGE_SCAN,
    PRICE,
    PS_PER_NS,
    SAVED,
    SWEEP,
    WAITED,
    WORD_READ,
    add,
    heat_start,
    known,
    learn,
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
from strategies.core.memslot import PAGES_PER_WORD, bitmap_start, clear_log, slot_field
from strategies.core.protect import READONLY, start_logging, stop_logging
from strategies.core.sweep import BLOCK_WORDS, harvest_all, sweeps
from strategies.core.tlb import flush_tlbs, wait_for_shared_tlbies
from strategies.core.vcpus import vcpus_running
from strategies.core.words import I64, ONE, U64, ZERO, ctz, popcount
from strategies.mixed.cooling import cool_group, finish, look_again, report, take
from strategies.mixed.debts import weigh_group
from strategies.mixed.leader import is_swept, note_costs, set_stakes, weigh_sweep
from strategies.mixed.patience import is_warm, note_waited, note_written, settle_patience

HPTES_PER_PAGE = 8
"""Up to which a sweep reads the HPT, as the default of hpt_sweep."""


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
    set_stakes(machine, slot, heat)
    atomics.store(machine.slots, slot * SLOT_WORDS + SLOT_GROUP, U64(pages))
    start_logging(machine, slot, LOG_HEAT, READONLY)
    scan_slot(machine, slot, out, IN_PLACE)
    flush_tlbs(machine, machine.nvcpus)


@kernel
def _set_cost(machine, slot, field, picoseconds):
    """Set a unit cost, before a log starts."""
    atomics.store(machine.heat, heat_start(machine, slot) + field, U64(picoseconds))


@kernel
def _look_at_word(machine, slot, heat, number, mask, out, action):
    """Take C of the hot pages that a word names; return the warm, the written, and what is saved.

    A page that is old and clean has cost a look; what it cost while it was warm is put to its age.
    """
    base = slot_field(machine, slot, SLOT_BASE_GFN)
    warm, written, saved, passed = I64(0), I64(0), I64(0), I64(0)
    all_pages = popcount(mask)
    while mask:
        page = number * PAGES_PER_WORD + ctz(mask)
        mask &= mask - ONE
        if is_clean(machine, base + page, action):
            npages = 0
            passed += 1
        else:
            npages = take(machine, base + page, action)
        if npages:
            saved += report(machine, slot, heat, out, page, npages)
            written += 1
        elif is_warm(machine, heat, base + page):
            note_waited(machine, heat, base + page)
        warm += I64(is_warm(machine, heat, base + page))
    count(machine, machine.nvcpus, PAGES_PASSED, passed)
    count(machine, machine.nvcpus, PAGES_SCANNED, all_pages - passed)
    return warm, written, saved


@kernel
def _harvest_group(machine, slot, heat, first, words, out, seen, action, begun, is_due):
    """Take C of a group's hot pages, cool those that are due; return how many are hot.

    `words` are those with hot pages, as bits, from word `first` of the bitmap on. Cooling needs a
    flush: it waits for a harvest that makes one anyway, or until waiting has cost as much.
    """
    start = bitmap_start(machine, slot, 1)
    group = (first + ctz(words)) * PAGES_PER_WORD // slot_field(machine, slot, SLOT_GROUP)
    hot, warm, written, saved, rest = I64(0), I64(0), I64(0), I64(0), words
    while rest:
        number = first + ctz(rest)
        rest &= rest - ONE
        mask = atomics.load(machine.bitmap, start + number)
        hot += popcount(mask)
        if machine.delayed_c:
            atomics.store_own(seen, number, atomics.load_own(seen, number) | mask)
        n, stored, spared = _look_at_word(machine, slot, heat, number, mask, out, action)
        warm, written, saved = warm + n, written + stored, saved + spared
    count(machine, machine.nvcpus, BITMAP_WORDS_READ, popcount(words))
    if weigh_group(machine, slot, heat, group, warm, written, saved) or hot == warm:
        return hot
    if is_due or counted(machine, machine.nvcpus, PAGES_CLEARED) > begun:
        cool_group(machine, slot, heat, first, words, out, seen)
        return warm
    add(machine, heat, WAITED, (hot - warm) * known(machine, heat, PRICE))
    return hot


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
def _summary_words(machine, slot):
    """Return how many words have the bits of a slot's words with hot pages."""
    words = slot_field(machine, slot, SLOT_BITMAP_WORDS)
    return (words + PAGES_PER_WORD - 1) // PAGES_PER_WORD


@kernel
def _look_at_groups(machine, slot, heat, out, seen, action):
    """Harvest all groups with a hot page; return how many pages were hot and stay so."""
    hot = I64(0)
    begun = counted(machine, machine.nvcpus, PAGES_CLEARED)
    is_due = known(machine, heat, WAITED) >= known(machine, heat, FLUSH)
    start, _ = word_bit(machine, slot, 0)
    per_group = slot_field(machine, slot, SLOT_GROUP) // PAGES_PER_WORD
    looked = _summary_words(machine, slot)
    for k in range(looked):
        mask = atomics.load(machine.heat, start + k)
        while mask:
            low = ctz(mask) // per_group * per_group
            group = mask & ~ZERO >> U64(PAGES_PER_WORD - per_group) << U64(low)
            mask &= ~group
            first = k * PAGES_PER_WORD
            hot += _harvest_group(
                machine, slot, heat, first, group, out, seen, action, begun, is_due
            )
    count(machine, machine.nvcpus, BITMAP_WORDS_READ, looked)
    return hot


@kernel
def _rest(machine, slot, heat):
    """Let harvests look at no word, as none had a hot page, until one is heated.

    One heated meanwhile is found at the second look.
    """
    atomics.exchange(machine.heat, heat + MAY_BE_HOT, ZERO)
    start, _ = word_bit(machine, slot, 0)
    looked = _summary_words(machine, slot)
    for k in range(looked):
        if atomics.load(machine.heat, start + k):
            atomics.fetch_or(machine.heat, heat + MAY_BE_HOT, ONE)
    count(machine, machine.nvcpus, BITMAP_WORDS_READ, looked)


@kernel
def _harvest_hot(machine, slot, heat, out, seen, action):
    """Harvest what is hot, if anything may be; return how many pages were hot and stay so."""
    hot, looked = I64(0), _summary_words(machine, slot)
    read = looked
    if atomics.load(machine.heat, heat + MAY_BE_HOT):
        begun = counted(machine, machine.nvcpus, BITMAP_WORDS_READ)
        hot = _look_at_groups(machine, slot, heat, out, seen, action)
        read = counted(machine, machine.nvcpus, BITMAP_WORDS_READ) - begun
        if read == looked:
            _rest(machine, slot, heat)
    price = known(machine, heat, PAGE_SCAN) + read * known(machine, heat, WORD_READ) // max(hot, 1)
    learn(machine, heat, PRICE, max(price, 1))
    return hot


@kernel
def _settle(machine, slot, heat, hot, scan, missed, written):
    """Learn from a harvest, at its end: pages hot, ps of its scan, of faults if cold, and pages."""
    faults = I64(atomics.exchange(machine.heat, heat + FAULTS, ZERO))
    spent = note_costs(machine, slot, heat, scan, faults, written)
    if known(machine, heat, SWEEP):
        weigh_sweep(machine, slot, heat, hot, spent, missed)
    settle_patience(machine, heat)
    set_stakes(machine, slot, heat)
    atomics.store(machine.heat, heat + HARVEST, U64(known(machine, heat, HARVEST) + 1))


@kernel
def end_absent(machine, heat, begun):
    """Wait until no TLB has what was made absent, since so many shared tlbies were counted."""
    if known(machine, heat, IS_FLUSHED):
        flush_tlbs(machine, machine.nvcpus)
    elif counted(machine, machine.nvcpus, SHARED_TLBIES) > begun:
        wait_for_shared_tlbies(machine, machine.nvcpus)


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
    learn(machine, heat, IS_FLUSHED, 0)
    if machine.delayed_c:
        action = ABSENT_WRITABLE if is_definitive else ABSENT
        hot = _harvest_hot(machine, slot, heat, out, seen, action)
        end_absent(machine, heat, begun)
        finish(machine, slot, heat, out, seen, words)
    else:
        hot = _harvest_hot(machine, slot, heat, out, seen, IN_PLACE)
    written = counted(machine, machine.nvcpus, PAGES_CLEARED) - cleared
    any_cooled = counted(machine, machine.nvcpus, PAGES_REARMED) > cooled
    count(machine, machine.nvcpus, WHOLE_FLUSHES, known(machine, heat, IS_FLUSHED))
    if any_cooled:
        learn(machine, heat, WAITED, 0)
    if not machine.delayed_c and (written or any_cooled):
        flush_tlbs(machine, machine.nvcpus)
        if any_cooled and look_again(machine, slot, heat, out, seen, words):
            flush_tlbs(machine, machine.nvcpus)
    _take_marks(machine, slot, out, words)
    _settle(machine, slot, heat, hot, hot * known(machine, heat, PRICE), 0, written)
    return monotonic_ns() - start


@kernel
def _after_sweep(machine, slot, out, words):
    """Learn from a sweep, whose pages are in `out`; return nanoseconds."""
    start = monotonic_ns()
    heat = heat_start(machine, slot)
    base = slot_field(machine, slot, SLOT_BASE_GFN)
    missed = written = I64(0)
    for number in range(words):
        mask = atomics.load_own(out, number)
        written += popcount(mask)
        while mask:
            gfn = base + number * PAGES_PER_WORD + ctz(mask)
            missed += note_written(machine, heat, gfn)
            mask &= mask - ONE
    _take_marks(machine, slot, out, words)
    hot, sweep = known(machine, heat, HOT), known(machine, heat, SWEEP)
    _settle(machine, slot, heat, hot, sweep, missed, written)
    return monotonic_ns() - start


class Adaptive(DirtyTracker):
    """Start write-protected; scan pages that faults have shown to be hot, and let them cool again.

    A proposal on every platform; no kernel has it. Unit costs are those of the platform that the
    machine stands for (`Vm.unit_costs`); the rules have one set of numbers for all. All that it
    learns is exact counts times these costs:

    - *Pages.* A fault makes its page hot: writable, and scanned for C by each harvest. It stays so
      for `patience` harvests after its last store: as long as waiting has earned most by what was
      seen so far, at most what a fault costs divided by what a look costs (ski rental), at first
      and where waiting earns nothing not at all (`mixed/patience`).
    - *Groups.* A fault raises its group's debt, time lowers it by what scanning the whole group
      would have cost. At half the price of opening and cooling the group, and not before three
      faults where all can be swept, the fault handler opens all of it; an open group owes what its
      cold pages cost, less the faults it is spared, and closes at the same debt. If it was not
      worth opening, it opens next time at twice that; if it closed too soon, a fault coming before
      waiting would have cost what opening it again does, it closes next time at twice that (and so
      on, up to eight times).
    - *Everything.* Where the platform offers a cheaper exact scan (`hpt_sweep`, or the pipelined
      scan of an HPT too large for that), the hot pages are swept when that costs less than to
      look at each. Everything is due when what was paid, more than for sweeps, is half the price of
      opening and cooling what is cold: each fault then opens its group, and the groups after it
      that cost no more to open than the fault itself. All pages are cooled when sweeps have cost
      more than the other way by 4 times that price (`mixed/leader`).
    - *Stakes.* What all faults and what all scans would have cost is known, for each harvest tells
      what was written. While faults would have cost less, no group is opened that would bring what
      was spent, cooling all again included, above 9/8 of that; and what is swept is cooled as soon
      as it is above.

    So when a group opens while faults lead, all that was spent, and what it costs to open and cool
    it, is at most 9/8 of what faults alone would have cost, if what opens in one interval is cooled
    by one harvest (else its tlbies, or one more flush, come on top); it closes when it has lost as
    much more as groups open at, or up to eight times that where it once closed too soon. What
    waiting costs, and what is lost before the lead changes, has no bound that is proved: how much
    it is on traces made to mislead, `results/reference/rivals` shows
    (`analysis/model/adversaries.py`).

    No deterministic rule that does not know the stores to come can promise less than 1.56 and 1.67
    times the best tracker that never chooses on POWER9 and POWER8 (a derived bound, by the unit
    costs of these profiles, of 300 epochs and 8,192 pages: `analysis/model/online.py`).

    Where each cooled page has a tlbie of its own (POWER's hashed table), one flush of all TLBs
    stands for those of many once it costs less: by unit costs estimated for POWER9 from 7 pages on,
    where one tlbie drops a partition (Linux's `flush_partition`, mmu_partition_table_set_entry),
    and from 167 on for POWER8, where each core runs a tlbiel for each set. That KVM might do so for
    a log, over HPTEs made absent first, is a proposal; that the guest's TLB entries all go with it
    is not priced.

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
        sweep = (groups + -(-npages // BLOCK_WORDS)) * costs.block_sweep
        if not sweeps(vm, slot, HPTES_PER_PAGE):
            sweep = npages * costs.page_pass
        for field, ns in enumerate((*costs[1:], sweep)):
            _set_cost(vm.machine, slot, COSTS + field, round(ns * PS_PER_NS))

    def _disable(self, slot):
        stop_logging(self.vm.machine, slot)

    def _harvest(self, slot, out):
        machine = self.vm.machine
        address = atomics.address_of(out)
        if is_swept(machine, slot):
            ns = harvest_all(self.vm, slot, out, HPTES_PER_PAGE)
            return ns + _after_sweep(machine, slot, address, out.size)
        seen = self.buffer(slot)
        is_definitive = bool(machine.delayed_c and not vcpus_running(machine))
        return _get_dirty_log(
            machine, slot, address, atomics.address_of(seen), out.size, is_definitive
        )
