"""The accounts of `adaptive` as plain sums over sets and lists: what it has learned and chosen.

It shares no code with the tracker and knows no machine: one vCPU, small pages, a store at a time.
Money is in picoseconds, but for debts, which are in nanoseconds.
"""

from collections import Counter
from dataclasses import dataclass

WORD, AGES, MAX_LEVEL = 64, 16, 3
HARVESTS, MOST_DEBT = 1 << 24, 0xFFFFFFFF


@dataclass
class Group:
    """What is known of a group of pages."""

    pages: range
    is_open: bool = False
    is_paid: bool = False
    has_closed: bool = False
    level: int = 0
    wait: int = 0
    harvest: int = 0
    debt: int = 0

    @property
    def word(self):
        """Its word, as the machine keeps it."""
        flags = self.is_open << 63 | self.is_paid << 62 | self.has_closed << 61
        flags |= self.wait << 58 | self.level << 56
        return flags | self.harvest % HARVESTS << 32 | self.debt


def age_class(age):
    return min((age - 1).bit_length(), AGES - 1)


class NaiveAdaptive:
    """A slot, from its first page of the guest on."""

    def __init__(self, npages, group_pages, costs, blocks_of_hpt):
        """`blocks_of_hpt`: groups of HPTEs that a sweep reads; 0: it goes page by page."""
        self._arguments = npages, group_pages, costs, blocks_of_hpt
        ps = {name: round(ns * 1000) for name, ns in costs._asdict().items() if name != "platform"}
        self.costs = ps
        self.npages, self.blocks_of_hpt = npages, blocks_of_hpt
        self.fault = ps["first_write"]
        self.rmap_blocks = -(-npages // 16)
        if blocks_of_hpt:
            self.sweep = (blocks_of_hpt + self.rmap_blocks) * ps["block_sweep"]
        else:
            self.sweep = npages * ps["page_pass"]
        self.groups = [
            Group(range(first, min(first + group_pages, npages)))
            for first in range(0, npages, group_pages)
        ]
        self.group_pages = group_pages
        self.hot, self.dirty, self.marks = set(), set(), set()
        self.written = [0] * npages
        self.saved, self.spent = [0] * AGES, [0] * AGES
        self.now, self.patience, self.price = 1, 0, max(ps["page_scan"], 1)
        self.faults = self.opened = self.waited = 0
        self.is_swept = self.is_due = self.host_stored = self.may_be_hot = False
        self.is_flushed = 0
        self.hot_pages = self.warm_pages = self.regret_cold = self.regret_swept = 0
        self.by_faults = self.by_scans = self.own = 0
        self.events = Counter()
        self._set_stakes()

    def anew(self):
        """Return the model of a new log."""
        return NaiveAdaptive(*self._arguments)

    def counted(self, names):
        """Return how many events of some names there were since the last call."""
        counts = {name: self.events[name] for name in names}
        self.events.clear()
        return counts

    # Faults.

    def store(self, gfn):
        if gfn not in self.hot:
            self._heat(gfn)
        self.dirty.add(gfn)

    def host_store(self, gfn):
        self.marks.add(gfn)
        self.host_stored = True

    def _heat(self, gfn):
        self.events["write_faults"] += 1
        self.hot.add(gfn)
        self.may_be_hot = True
        self.faults += 1
        number = gfn // self.group_pages
        group = self.groups[number]
        group.debt = self._debt(group, self.now)
        group.harvest = self.now
        if group.has_closed:
            too_soon = group.debt > 0
            group.wait = min(group.wait + 1, MAX_LEVEL) if too_soon else max(group.wait - 1, 0)
            group.has_closed, group.debt = False, 0
        group.debt += self.fault // 1000
        opened = [group]
        if self.is_due:
            beside = self.fault // max(self.group_pages * self.costs["page_open"], 1)
            opened = self.groups[number : number + 1 + beside]
        is_paid = group.debt >= self._opening_price(group) << group.level
        if (self.is_due or is_paid) and self._may_open(opened):
            for one in opened:
                self._open(one)
        group.debt = min(group.debt, MOST_DEBT)

    def _open(self, group):
        if not group.is_open:
            self.opened += len(group.pages)
        group.is_open, group.is_paid, group.has_closed = True, False, False
        group.debt, group.harvest = 0, self.now
        self.hot |= set(group.pages)
        self.may_be_hot = True
        self.events["groups_opened"] += 1
        self.events["pages_opened"] += len(group.pages)

    def _opening_price(self, group):
        least = 3 * (self.fault // 1000) if self.sweep else 1
        return max(self._toggle(len(group.pages)) // 2000, least)

    def _may_open(self, groups):
        if self.faults >= self.lead:
            return True
        return self._toggle(self.opened + sum(len(one.pages) for one in groups)) <= self.stakes

    def _toggle(self, pages):
        """Opening and cooling: with a tlbie for each page, or a flush in the place of all."""
        tlbies = pages * self.costs["cool_tlbie"]
        without = pages * (self.costs["page_open"] + self.costs["page_cool"]) - tlbies
        return without + min(tlbies, self.costs["flush_all"])

    def _set_stakes(self):
        ahead = self.by_scans + self._clean_scan - self.by_faults
        self.lead = max(ahead // self.fault + 1, 0)
        self.stakes = max(self._left_to_lose, 0)

    @property
    def _clean_scan(self):
        return self.sweep or self.npages * self.costs["page_scan"]

    @property
    def _left_to_lose(self):
        return self.by_faults + self.by_faults // 8 - self.own

    @property
    def _faults_lead(self):
        return self.by_faults <= self.by_scans

    def _debt(self, group, harvest):
        """Time lowers it by scans of the whole group, unless all is swept anyway."""
        passed = harvest - group.harvest
        if self.is_swept or passed < 0:
            return group.debt
        scans = passed % HARVESTS * len(group.pages) * self.costs["page_scan"] // 1000
        return max(group.debt - scans, 0)

    # Harvests.

    def harvest(self):
        """Return the pages that are reported."""
        if self.is_swept:
            reported, hot, missed = self._by_sweep()
        else:
            reported, hot, missed = self._by_pages()
        written = len(reported)
        self.dirty.clear()
        if self.host_stored:
            self.events["bitmap_words_read"] += self._words
            self.events["words_taken"] += len({gfn // WORD for gfn in self.marks})
        self._settle(hot, missed, written)
        reported |= self.marks
        self.marks = set()
        return reported

    @property
    def _words(self):
        return -(-self.npages // WORD)

    def _age(self, gfn):
        return self.now - self.written[gfn]

    def _is_warm(self, gfn):
        return self.written[gfn] > 0 and 0 < self.patience >= self._age(gfn)

    def _note_written(self, gfn):
        """Return what a fault would have cost, if it would have come had the page been cooled."""
        is_first, age = not self.written[gfn], self._age(gfn)
        self.written[gfn] = self.now
        if is_first:
            return self.fault
        if not age:
            return 0
        for j in range(age_class(age) + 1):
            least = 1 << (j - 1) if j else 0
            if least >= self.patience:
                self.spent[j] += (min(age, 1 << j) - least) * self.price
        self.saved[age_class(age)] += self.fault
        return self.fault if age > self.patience else 0

    def _by_pages(self):
        reported, hot, cooled, flushed = set(), 0, 0, 0
        is_due = self.waited >= self.costs["flush"]
        read = -(-self._words // WORD)
        for group in self.groups:
            pages = sorted(self.hot & set(group.pages))
            if not pages:
                continue
            read += len({gfn // WORD for gfn in pages})
            warm = self._look(group, pages, reported)
            if group.is_open or warm == len(pages):
                hot += len(pages)
            elif is_due or reported:
                read += len({gfn // WORD for gfn in pages})
                old = {gfn for gfn in pages if not self._is_warm(gfn)}
                self.hot -= old
                cooled += len(old)
                if flushed or len(old) * self.costs["cool_tlbie"] > self.costs["flush_all"]:
                    flushed += len(old)
                hot += warm
            else:
                self.waited += (len(pages) - warm) * self.price
                hot += len(pages)
        self.is_flushed = int(flushed > 0)
        self.events["bitmap_words_read"] += self._count_looks(read)
        self.events["pages_rearmed"] += cooled
        self.events["pages_flushed"] += flushed
        self.events["whole_flushes"] += bool(flushed)
        self.events["flushes"] += bool(reported or cooled)
        self.price = self.costs["page_scan"] + read * self.costs["word_read"] // max(hot, 1)
        self.price = max(self.price, 1)
        if cooled:
            self.waited = 0
        return reported, hot, 0

    def _count_looks(self, read):
        """None while nothing was heated; a first look that finds nothing hot is taken twice."""
        if not self.may_be_hot:
            return 0
        self.may_be_hot = read > -(-self._words // WORD)
        return read if self.may_be_hot else 2 * read

    def _look(self, group, pages, reported):
        """Take C of a group's hot pages and settle its debt; return how many are warm."""
        written = [gfn for gfn in pages if gfn in self.dirty]
        spared = 0
        for gfn in pages:
            if gfn in self.dirty:
                spared += self._note_written(gfn)
            elif self._is_warm(gfn):
                self.spent[age_class(self._age(gfn))] += self.price
        reported |= set(written)
        self.events["pages_scanned"] += len(written)
        self.events["pages_passed"] += len(pages) - len(written)
        self.events["pages_cleared"] += len(written)
        warm = sum(map(self._is_warm, pages))
        self._weigh(group, warm, len(written), spared)
        return warm

    def _weigh(self, group, warm, written, spared):
        idle = (len(group.pages) - warm) * self.costs["page_scan"] // 1000
        if not group.is_open:
            group.debt = max(self._debt(group, self.now - 1) - idle, 0)
        else:
            group.debt = max(group.debt + idle - spared // 1000, 0)
            limit = self._opening_price(group)
            group.is_paid |= written * self.fault // 1000 >= 3 * limit
            if group.debt >= limit << group.wait:
                step = -1 if group.is_paid else 1
                group.level = min(max(group.level + step, 0), MAX_LEVEL)
                group.is_open, group.is_paid, group.has_closed = False, False, True
                group.debt = self._toggle(len(group.pages)) // 1000 + limit
                self.events["groups_closed"] += 1
        group.harvest = self.now

    def _by_sweep(self):
        reported = set(self.dirty)
        self.events["pages_cleared"] += len(reported)
        missed = sum(self._note_written(gfn) for gfn in sorted(reported))
        if self.blocks_of_hpt:
            self.events["blocks_swept"] += self.blocks_of_hpt + self.rmap_blocks
        else:
            self.events["pages_scanned"] += len(reported)
            self.events["pages_passed"] += self.npages - len(reported)
        return reported, self.hot_pages, missed

    # What follows from a harvest.

    def _settle(self, hot, missed, written):
        faults, self.faults = self.faults, 0
        spent = faults * self.fault + self._toggle(self.opened)
        self._note_costs(self.sweep if self.is_swept else hot * self.price, spent, written)
        if self.sweep:
            self._weigh_sweep(hot, spent, missed)
        self._settle_patience()
        self._set_stakes()
        self.now += 1

    def _note_costs(self, scan, spent, written):
        """What was opened has paid at once for being cooled again."""
        self.opened = 0
        both = written * self.costs["page_written"]
        flush = self.costs["flush"] if written else 0
        self.by_faults += written * self.fault + flush
        self.by_scans += self._clean_scan + both + flush
        self.own += scan + spent + both + flush

    def _weigh_sweep(self, hot, spent, missed):
        page_scan = self.costs["page_scan"]
        if self.is_swept and self.now % 32 == 0:
            hot = self._take_stock()
        self.regret_cold += spent
        if not self.is_swept:
            self.regret_cold += hot * page_scan - self.sweep
        self.regret_cold = max(self.regret_cold, 0)
        price = self._toggle(self.npages - hot)
        self.is_due = hot < self.npages and 2 * self.regret_cold >= price
        if hot == self.npages:
            self.regret_cold = 0
        self.hot_pages = hot
        is_next_swept = hot * page_scan > self.sweep
        if self.is_swept:
            self.regret_swept += self.sweep - self.warm_pages * page_scan - missed
            self.regret_swept = max(self.regret_swept, 0)
            has_lost = self._faults_lead and self._left_to_lose < 0
            if has_lost or self.regret_swept >= 4 * self._toggle(hot):
                for group in self.groups:
                    group.is_open = group.is_paid = group.has_closed = False
                    group.level = group.wait = group.harvest = group.debt = 0
                is_next_swept, self.regret_swept = False, 0
                self.is_due, self.regret_cold = False, 0
        self.is_swept = is_next_swept

    def _take_stock(self):
        self.warm_pages = sum(map(self._is_warm, range(self.npages)))
        self.events["blocks_swept"] += self.npages // 16
        self.events["bitmap_words_read"] += self._words
        return len(self.hot)

    def _settle_patience(self):
        earned = most = patience = 0
        volume = sum(self.saved) + sum(self.spent)
        for j in range(AGES):
            earned += self.saved[j] - self.spent[j]
            if earned > most:
                most, patience = earned, 1 << j
        if volume > 1000 * self.fault:
            self.saved = [account // 2 for account in self.saved]
            self.spent = [account // 2 for account in self.spent]
        self.patience = min(patience, self.fault // self.price)
