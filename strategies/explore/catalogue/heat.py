"""Losses where pages are heated by faults and cooled by harvests (`adaptive`)."""

from strategies.core import atomics, groups, h_enter, heat
from strategies.core.groups import claim, claim_group, open_group
from strategies.core.heat import HARVEST, HEAT_WORDS, OPEN
from strategies.core.machine import LOG_GROUPS, SLOT_GROUP
from strategies.core.memslot import bitmap_start, log_mode, slot_field, slot_of_gfn
from strategies.core.protect import RESTORE, change_page
from strategies.core.tlb import wait_for_shared_tlbies
from strategies.core.words import I64, U64, ZERO
from strategies.explore.defect import Defect
from strategies.mixed import adaptive, cooling

_claim = claim
_claim_group = claim_group
_open_group = open_group
_is_open = groups.is_open
_cool_word = cooling.cool_word
_look_again = cooling.look_again


def claim_nothing(_machine, _cpu, _slot, _mode, gfn):
    """Set no bit yet."""
    return gfn, gfn + 1


def claim_then_open(machine, cpu, gfn, _end):
    """Set the bits when the page that faulted is writable already."""
    slot = slot_of_gfn(machine, gfn)
    _open_group(machine, cpu, *_claim(machine, cpu, slot, log_mode(machine, slot), gfn))


def claim_own_group(machine, slot, mode, first, end):
    """Set the bits of the first group alone."""
    pages = slot_field(machine, slot, SLOT_GROUP)
    _claim_group(machine, slot, mode, first, min(first + pages, end))


def open_then_claim_beside(machine, cpu, first, end):
    """Open the groups; the bits of all but the first come last."""
    slot = slot_of_gfn(machine, first)
    beside = min(first + slot_field(machine, slot, SLOT_GROUP), end)
    for gfn in range(beside, end):
        change_page(machine, cpu, gfn, RESTORE)
    _open_group(machine, cpu, first, beside)
    _claim_group(machine, slot, log_mode(machine, slot), beside, end)


def cool_before_bits(machine, slot, heat_at, number, mask, out, seen):
    """Make pages read-only, then take their bits."""
    word = bitmap_start(machine, slot, 1) + number
    _cool_word(machine, slot, heat_at, number, mask, out, seen)
    atomics.fetch_and(machine.bitmap, word, ~mask)


def look_not_again(_machine, _slot, _heat, _out, _seen, _words):
    """Do not look at C of pages that were cooled."""
    return 0


def look_without_flush(*arguments):
    """Look again, but let no flush follow."""
    _look_again(*arguments)
    return 0


def wait_without_flush(machine, _heat, _begun):
    """Wait for accesses under way; what was made absent without a tlbie stays in TLBs."""
    wait_for_shared_tlbies(machine, machine.nvcpus)


def open_cold_page(machine, cpu, _slot, _mode, gfn):
    """Give a page the guest's own permissions, whether or not a harvest has cooled it."""
    change_page(machine, cpu, gfn, RESTORE)


def enters_writable(_machine, _slot, _mode, _gfn):
    """Let H_ENTER make HPTEs writable whether or not their pages are hot."""
    return False


def is_open_by_page(machine, slot, _mode, gfn):
    """Look at the page's bit alone, and not at its word's."""
    return _is_open(machine, slot, LOG_GROUPS, gfn)


def drop_at_one_look(machine, slot, number):
    """Take away the bit of a word with no hot page, and do not look once more."""
    at, mask = heat.word_bit(machine, slot, number)
    atomics.fetch_and(machine.heat, at, ~mask)


def is_hot_by_its_bit(machine, slot, number):
    """Look at the word's bit alone, and not whether harvests look at bits."""
    at, mask = heat.word_bit(machine, slot, number)
    return atomics.load(machine.heat, at) & mask != ZERO


def rest_at_one_look(machine, _slot, start):
    """Let harvests look at no word, and do not look once more."""
    atomics.exchange(machine.heat, start + heat.MAY_BE_HOT, ZERO)


def owe_and_pass(machine, slot, group, end):
    """Raise a debt, and judge by what it was when last looked at."""
    start = heat.heat_start(machine, slot)
    at = start + HEAT_WORDS + group
    pages = heat.group_pages(machine, slot, group)
    word = atomics.load(machine.heat, at)
    if word & OPEN:
        return False
    fault = heat.known(machine, start, heat.FIRST_WRITE) // heat.PS_PER_NS
    harvest = I64(atomics.load(machine.heat, start + HARVEST))
    debt = heat.debt_at(machine, start, word, pages, harvest) + fault
    new = heat.group_word(ZERO, 0, 0, harvest, debt)
    atomics.fetch_add(machine.heat, at, U64((int(new) - int(word)) % (1 << 64)))
    price = heat.opening_price(machine, start, pages)
    if debt < price or not heat.may_open(machine, slot, group, end):
        return False
    atomics.exchange(machine.heat, at, OPEN)
    return True


DEFECTS = (
    Defect(
        name="heat-permission-before-bit",
        what="A page becomes writable before a harvest can know that its C tells.",
        origin="design: the bit of a page comes before its permission",
        lived="-",
        program="stores-harvest",
        strategy="adaptive",
        replaces=((groups.claim, claim_nothing), (groups.open_group, claim_then_open)),
    ),
    Defect(
        name="heat-beside-opened-before-bits",
        what="The pages of groups that a fault opens beside its own become writable before their "
        "bits are set.",
        origin="design: the bit of a page comes before its permission",
        lived="-",
        program="groups-due-harvest",
        strategy="adaptive:64",
        replaces=(
            (groups.claim_group, claim_own_group),
            (groups.open_group, open_then_claim_beside),
        ),
    ),
    Defect(
        name="heat-cooled-before-bit",
        what="A page's bit is taken when it is read-only already: a fault between the two heats "
        "it, and it stays writable.",
        origin="design: cooling takes the bit, then the permission",
        lived="-",
        program="cool-store-harvest",
        strategy="adaptive",
        replaces=((cooling.cool_word, cool_before_bits),),
    ),
    Defect(
        name="heat-not-looked-at-again",
        what="C of a page that was cooled is not looked at after the flush: a store that was under "
        "way has set it after the first look.",
        origin="design: cooling looks at C once more",
        lived="-",
        program="cool-store-harvest",
        strategy="adaptive",
        replaces=((cooling.look_again, look_not_again),),
    ),
    Defect(
        name="heat-opened-though-cold",
        what="Who opens a group makes a page writable that a harvest has cooled meanwhile.",
        origin="design: a permission is given under the rmap lock, the bit being set",
        lived="-",
        program="cool-open-harvest",
        strategy="adaptive",
        replaces=((groups._open_page, open_cold_page),),
    ),
    Defect(
        name="heat-not-looked-at-by-h-enter",
        what="H_ENTER makes an HPTE of a cold page writable.",
        origin="design: H_ENTER looks at the bit under the rmap lock",
        lived="-",
        program="cool-enter-harvest",
        strategy="adaptive",
        replaces=((h_enter.enters_readonly, enters_writable),),
    ),
    Defect(
        name="heat-page-bit-alone",
        what="A page counts as hot as soon as its own bit is set: a store of another vCPU does not "
        "fault, and a harvest does not look there yet.",
        origin="design: a page is hot when both bits are set (found by the explorer)",
        lived="-",
        program="aliases-harvest",
        strategy="adaptive",
        replaces=((groups.is_open, is_open_by_page),),
    ),
    Defect(
        name="heat-word-dropped-at-one-look",
        what="A word's bit is taken for it named no hot page, and one was heated since.",
        origin="design: a word's bit is taken, then the word is looked at once more",
        lived="-",
        program="cool-store-harvest",
        strategy="adaptive",
        replaces=((cooling.drop_word, drop_at_one_look),),
    ),
    Defect(
        name="heat-word-bit-alone",
        what="A page counts as hot as soon as both bits are set: a store of another vCPU does not "
        "fault, and a harvest does not look at bits yet.",
        origin="design: a page is hot when harvests look at its word",
        lived="-",
        program="aliases-harvest",
        strategy="adaptive",
        replaces=((groups.may_have_hot, is_hot_by_its_bit),),
    ),
    Defect(
        name="heat-rest-at-one-look",
        what="Harvests look at no word any more, for none had a hot page: one was heated since.",
        origin="design: MAY_BE_HOT is taken, then the bits are looked at once more",
        lived="-",
        program="cool-store-harvest",
        strategy="adaptive",
        replaces=((adaptive._rest, rest_at_one_look),),
    ),
    Defect(
        name="heat-debt-passed-by-two",
        what="Two faults raise a group's debt past the price of opening it, and neither opens it.",
        origin="design: a debt is raised by a compare and swap",
        lived="-",
        program="debts",
        strategy="adaptive",
        replaces=((heat.owe_fault, owe_and_pass),),
    ),
    Defect(
        name="heat-second-look-without-flush",
        what="C that was found at the second look is cleared without a flush: a page heated "
        "meanwhile is written through a translation that sets no C.",
        origin="design: a harvest that cleared C flushes before it returns",
        lived="-",
        program="cool-store-harvest",
        strategy="adaptive",
        replaces=((cooling.look_again, look_without_flush),),
    ),
    Defect(
        name="heat-cooled-without-flush",
        what="Pages that cool have no tlbie, and no flush follows: a TLB keeps one writable, and "
        "its C back.",
        origin="design: a flush stands for the tlbies of what cools",
        lived="-",
        program="delayed-c-flush-harvest",
        strategy="adaptive",
        replaces=((adaptive.end_absent, wait_without_flush),),
    ),
)
