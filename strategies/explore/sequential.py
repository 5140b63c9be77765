"""What operations do one after the other: the guest's HPTEs, memory and the log, in a few words.

Written anew from PAPR and the trackers' contract, so that it shares no mistake with the machine.
Each function takes a State, a part of an operation with what it came to, and what else is under
way; it returns the state after it, or None: it cannot have come to that.

Departures that are allowed, each a constant or a function here:

- R_STALE: H_CLEAR_REF makes no tlbie here (KVM's does), so that a later access may leave R clear.
- OWED: where a TLB keeps C back (`delayed_c`), H_READ and H_CLEAR_REF may not see it yet.
- `_shows_early`: R and C are set before the data is touched: a load or store that is under way may
  be seen in them by H_READ and H_CLEAR_REF, which take no tlbie and do not wait for it.
- TORN: H_READ takes no lock. Where another hypercall changes the HPTE beside it, what it tells
  is of both; only whether an HPTE is there is judged.
- `_marks_early`: a fault marks the page before its store is made. A harvest that runs beside the
  store may report it and the store mark it again; a store that the guest then forbids leaves it.
- `_marks_late`: the host marks a page after its store. A harvest that runs beside it may report the
  page for another store, and the host then mark it once more.
- LATE: beside running vCPUs the scans trust a C that is clear, where a TLB may keep it back: a page
  may be reported later, also in a log that was started since.
- READS: under `pte_flush` a load of a page that the guest may store to counts as a store.
- LARGE: what is stored, or noticed, through a large page may count for all its pages.
"""

from typing import NamedTuple

from strategies.core.guest import VIEW_LARGE
from strategies.explore.parts import BUSY, DONE, FORBIDDEN, MISSED, OFF

CLEAR, SET, EITHER = 0, 1, 2
R_STALE = 3
"""R is clear, and a TLB may have a translation that does not set it again."""

OWED = 4
"""C is set or a TLB will yet set it."""


class Hpte(NamedTuple):
    """An HPTE as its guest knows it, and whether a TLB may owe it C; None where there is none."""

    r: int
    c: int
    writable: bool
    gfn: int = 0
    is_owed: bool = False


class Page(NamedTuple):
    """A page: who stored last, whether the log is to report it, whether it is logged."""

    stamp: int
    dirty: int
    logged: bool


class State(NamedTuple):
    """HPTEs by place, and pages by gfn, each a sorted tuple of pairs."""

    hptes: tuple
    pages: tuple

    def hpte(self, part):
        """Return the HPTE in the place that a part names."""
        return dict(self.hptes)[part.place]

    def mapping(self, part):
        """Return the HPTE through which a part accesses its page: what is in its place, or None."""
        hpte = self.hpte(part)
        return hpte if hpte and (part.is_large or hpte.gfn == part.gfn) else None

    def with_hpte(self, part, hpte):
        """Return the state with another HPTE in the place that a part names."""
        place = part.place
        return self._replace(hptes=tuple((k, hpte if k == place else h) for k, h in self.hptes))

    def page(self, gfn):
        """Return a page."""
        return dict(self.pages)[gfn]

    def with_page(self, gfn, **changes):
        """Return the state with a changed page."""
        return self._replace(
            pages=tuple((k, p._replace(**changes) if k == gfn else p) for k, p in self.pages)
        )

    def perhaps_dirty(self, part):
        """Return the state in which the logged pages of a part may be dirty."""
        return self._replace(
            pages=tuple((k, _perhaps(p) if _concerns(part, k) else p) for k, p in self.pages)
        )


class Rules(NamedTuple):
    """Which departures a machine and its tracker are allowed.

    Attributes
    ----------
    owes_c : bool
        A TLB keeps C back.
    is_late : bool
        LATE.
    marks_early : bool
        A fault marks the page.
    marks_reads : bool
        READS.
    """

    owes_c: bool
    is_late: bool
    marks_early: bool
    marks_reads: bool


class Beside(NamedTuple):
    """What is under way when a part happens.

    Attributes
    ----------
    rules : Rules
    stamp : int
        What the operation stores.
    parts : frozenset of Part
        What other threads do beside the operation.
    waiting : frozenset of Part
        Those that have not happened yet.
    """

    rules: Rules
    stamp: int
    parts: frozenset
    waiting: frozenset


ACCESSES = ("store", "load")
FORBIDDERS = ("remove", "protect")
CHANGES = ("remove", "protect", "enter", "clear_mod", "clear_ref")


def _some(parts, kinds, part):
    """Say whether one of some parts is of these kinds and names the place that a part names."""
    return any(one.kind in kinds and one.place == part.place for one in parts)


def _concerns(part, gfn):
    """Say whether a part concerns a page: LARGE."""
    return part.is_large or part.gfn == gfn


def _perhaps(page):
    """Return a page as it is if it may be dirty, too."""
    return page._replace(dirty=EITHER) if page.logged and page.dirty == CLEAR else page


def store(state, part, came, beside):
    """Store through an HPTE."""
    hpte = state.mapping(part)
    if came != DONE:
        return _no_access(state, part, came, beside, hpte is not None and not hpte.writable)
    if hpte is None or not hpte.writable:
        return None
    c = OWED if beside.rules.owes_c and hpte.c != SET else SET
    hpte = hpte._replace(r=_referenced(hpte.r), c=c, is_owed=beside.rules.owes_c)
    state = state.with_hpte(part, hpte)
    return _stored(state.perhaps_dirty(part), part.gfn, beside)


def host_store(state, part, _came, beside):
    """Store as the host, which no HPTE shows."""
    return _stored(state, part.gfn, beside)


def load(state, part, came, beside):
    """Load through an HPTE."""
    hpte = state.mapping(part)
    if came != DONE:
        return _no_access(state, part, came, beside, False)
    if hpte is None:
        return None
    if beside.rules.marks_reads and hpte.writable:
        state = state.perhaps_dirty(part)
    return state.with_hpte(part, hpte._replace(r=_referenced(hpte.r)))


def _stored(state, gfn, beside):
    dirty = SET if state.page(gfn).logged else CLEAR
    return state.with_page(gfn, stamp=beside.stamp, dirty=dirty)


def _no_access(state, part, came, beside, is_forbidden):
    """Judge an access that failed; it may have left a mark, if the guest changed its mind."""
    is_right = is_forbidden if came == FORBIDDEN else state.mapping(part) is None
    if not is_right or came not in (MISSED, FORBIDDEN):
        return None
    changes_its_mind = _some(beside.parts, FORBIDDERS, part)
    return state.perhaps_dirty(part) if beside.rules.marks_early and changes_its_mind else state


def _referenced(r):
    return EITHER if r in (R_STALE, EITHER) else SET


def remove(state, part, bits, _beside):
    """H_REMOVE, or an entry of H_BULK_REMOVE; `part.how`: its condition holds if it is there."""
    hpte = state.hpte(part)
    if bits is None:
        return None if hpte and part.how else state
    if hpte is None or not part.how or not _tells(hpte, bits, is_at_rest=True):
        return None
    return state.with_hpte(part, None)


def enter(state, part, is_entered, _beside):
    """H_ENTER of a named HPTE."""
    if state.hpte(part):
        return None if is_entered else state
    rc = CLEAR if part.how else SET
    return state.with_hpte(part, Hpte(rc, rc, True, part.gfn)) if is_entered else None


def protect(state, part, is_found, _beside):
    """H_PROTECT."""
    hpte = state.hpte(part)
    if hpte is None or not is_found:
        return state if hpte is None and not is_found else None
    return state.with_hpte(part, _at_rest(hpte)._replace(writable=part.how))


def clear_mod(state, part, bits, _beside):
    """H_CLEAR_MOD."""
    hpte = state.hpte(part)
    if hpte is None or bits is None:
        return state if hpte is None and bits is None else None
    if not _tells(hpte, bits, is_at_rest=True):
        return None
    r = SET if bits.r else CLEAR
    return state.with_hpte(part, hpte._replace(r=r, c=CLEAR, is_owed=False))


def clear_ref(state, part, bits, beside):
    """H_CLEAR_REF."""
    hpte = state.hpte(part)
    if hpte is None or bits is None:
        return state if hpte is None and bits is None else None
    if not (_tells(hpte, bits) or _shows_early(hpte, part, bits, beside)):
        return None
    c = SET if bits.c else hpte.c
    return state.with_hpte(part, hpte._replace(r=R_STALE, c=c))


def read(state, part, bits, beside):
    """H_READ."""
    hpte = state.hpte(part)
    if hpte is None or bits is None:
        return state if hpte is None and bits is None else None
    if _some(beside.parts, CHANGES, part):
        return state  # TORN
    if _tells(hpte, bits):
        r = hpte.r if hpte.r != EITHER else SET if bits.r else R_STALE
        return state.with_hpte(part, hpte._replace(r=r, c=SET if bits.c else hpte.c))
    return state if _shows_early(hpte, part, bits, beside) else None


def _tells(hpte, bits, is_at_rest=False):
    """Say whether R, C, the permission and the page may be what a hypercall told."""
    c = {SET} if hpte.c == SET or (hpte.c == OWED and is_at_rest) else {CLEAR, SET}
    c = {CLEAR} if hpte.c == CLEAR else c
    r = {CLEAR, SET} if hpte.r == EITHER else {SET if hpte.r == SET else CLEAR}
    is_this = bits.writable in (None, hpte.writable) and bits.gfn in (None, hpte.gfn)
    return bits.r in r and bits.c in c and is_this


def _shows_early(hpte, part, bits, beside):
    """Say whether an access under way explains R and C."""
    is_stored = _some(beside.waiting, ("store",), part)
    r = _referenced(hpte.r) if _some(beside.waiting, ACCESSES, part) else hpte.r
    return _tells(hpte._replace(r=r, c=SET if is_stored and bits.c else hpte.c), bits)


def _at_rest(hpte):
    """Return an HPTE after a tlbie: C that was owed is there, and no translation is stale."""
    r = CLEAR if hpte.r == R_STALE else hpte.r
    return hpte._replace(r=r, c=SET if hpte.c == OWED else hpte.c, is_owed=False)


def unmap(state, part, _came, _beside):
    """Take a page away: the guest sees no more of it than that its translations end."""
    hptes = tuple((k, _at_rest(h) if h and _maps(k, h, part.gfn) else h) for k, h in state.hptes)
    return state._replace(hptes=hptes)


def _maps(place, hpte, gfn):
    """Say whether the HPTE in a place maps a page."""
    return place[0] == VIEW_LARGE or hpte.gfn == gfn


def harvest(state, part, is_reported, beside):
    """Harvest a page; OFF: it is not logged."""
    page = state.page(part.gfn)
    if is_reported == OFF or not page.logged:
        return state if is_reported == OFF and not page.logged else None
    if is_reported and page.dirty == CLEAR:
        return state if _marks_early(part.gfn, beside) else None
    if not is_reported and page.dirty == SET:
        return state if beside.rules.is_late else None
    comes_again = _marks_late(part.gfn, beside) or _comes_again(state, part.gfn, beside)
    return state.with_page(part.gfn, dirty=EITHER if comes_again else CLEAR)


def _comes_again(state, gfn, beside):
    """Say whether a page may be reported once more: LATE."""
    return beside.rules.is_late and any(
        hpte and (hpte.is_owed or hpte.c == OWED) and _maps(place, hpte, gfn)
        for place, hpte in state.hptes
    )


def _marks_late(gfn, beside):
    """Say whether a store of the host that is under way may yet mark a page."""
    return any(one.kind == "host_store" and one.gfn == gfn for one in beside.parts)


def _marks_early(gfn, beside):
    """Say whether a store that is under way may have marked a page."""
    return beside.rules.marks_early and any(
        one.kind == "store" and _concerns(one, gfn) for one in beside.waiting
    )


def enable(state, part, _came, beside):
    """Start logging a page with an empty log, unless it is logged."""
    if state.page(part.gfn).logged:
        return state
    dirty = EITHER if _comes_again(state, part.gfn, beside) else CLEAR
    return state.with_page(part.gfn, logged=True, dirty=dirty)


def enable_other(state, part, came, _beside):
    """Another tracker may log what this one does not."""
    return state if (came == BUSY) == state.page(part.gfn).logged else None


def disable(state, part, _came, _beside):
    """Stop logging a page."""
    return state.with_page(part.gfn, logged=False, dirty=CLEAR)


def is_final(state, final):
    """Say whether a state may be what is seen at the end: a last harvest fetches C from the TLBs.

    Parameters
    ----------
    final : Final
    """
    is_logged = all(page.logged for _, page in state.pages)
    for place, hpte in state.hptes:
        bits = final.hptes[place]
        if (hpte is None) != (bits is None) or (hpte and not _tells(hpte, bits, is_logged)):
            return False
    for gfn, page in state.pages:
        reported = final.reported[gfn]
        if page.stamp != final.stamps[gfn] or page.logged != (reported != OFF):
            return False
        if page.logged and page.dirty != EITHER and reported != (page.dirty == SET):
            return False
    return True


class Final(NamedTuple):
    """What is seen when all threads have stopped, after a last harvest if the slot is logged.

    Attributes
    ----------
    hptes : dict of place to Bits or None
    stamps : dict of int to int
    reported : dict of int to (bool or OFF)
        By a last harvest.
    """

    hptes: dict
    stamps: dict
    reported: dict
