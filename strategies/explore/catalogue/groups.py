"""Losses where one write fault opens a group of pages (`dbm_hybrid`)."""

from strategies.core import groups, h_enter, hostfault
from strategies.core.groups import claim_group, open_group
from strategies.core.handlers import enter_handler, leave_handler
from strategies.core.hpt import find_hpte
from strategies.core.hpte import HPTE_V_ABSENT, HPTE_V_VALID
from strategies.core.locks import lock_hpte, unlock_hpte
from strategies.core.machine import LOG_GROUPS
from strategies.core.memslot import slot_of_gfn
from strategies.core.protect import RESTORE, change_page
from strategies.explore.defect import Defect
from strategies.mixed import dbm_hybrid

_claim_group = claim_group
_open_group = open_group
_resolve = hostfault._resolve
_scan_open = dbm_hybrid._scan_open
_take_marks = dbm_hybrid._take_marks


def _open_without_look(machine, cpu, first, end):
    """Give all pages of a group the guest's own permissions, whatever their bits say."""
    for gfn in range(first, end):
        change_page(machine, cpu, gfn, RESTORE)


def claim_nothing(_machine, _slot, _mode, _first, _end):
    """Set no bit yet."""


def claim_then_open(machine, cpu, first, end):
    """Set the bits and open the group, the page that faulted being writable already."""
    _claim_group(machine, slot_of_gfn(machine, first), LOG_GROUPS, first, end)
    _open_group(machine, cpu, first, end)


def open_then_claim(machine, cpu, first, end):
    """Give the permissions, then set the bits."""
    _open_without_look(machine, cpu, first, end)
    _claim_group(machine, slot_of_gfn(machine, first), LOG_GROUPS, first, end)


def enters_writable(_machine, _slot, _mode, _gfn):
    """Let H_ENTER make HPTEs writable whether or not their pages are open."""
    return False


def open_after_leaving(machine, vcpu, va, shift, is_store):
    """Resolve a fault, and open its group when the handler's section is over."""
    enter_handler(machine, vcpu)
    states = HPTE_V_VALID | HPTE_V_ABSENT
    status, first, end = hostfault.HASH_MISS, 0, 0
    index = find_hpte(machine, va, shift, states)
    if index >= 0:
        v = lock_hpte(machine, vcpu, index)
        if index == find_hpte(machine, va, shift, states):
            status, first, end = _resolve(machine, vcpu, index, v, is_store)
        unlock_hpte(machine.hpt, index, v)
    leave_handler(machine, vcpu)
    _open_without_look(machine, vcpu, first, end)
    return status


def scan_after_marks(machine, slot, number, mask, out):
    """Take a word's marks before its pages are scanned."""
    _take_marks(machine, slot, number, out)
    return _scan_open(machine, slot, number, mask, out)


DEFECTS = (
    Defect(
        name="group-permission-before-bit",
        what="The page that faulted becomes writable before a harvest can know that its C tells.",
        origin="design: the bits of a group come before its first permission",
        lived="-",
        program="stores-harvest",
        strategy="dbm_hybrid",
        replaces=((groups.claim_group, claim_nothing), (groups.open_group, claim_then_open)),
    ),
    Defect(
        name="group-opened-before-bits",
        what="The other pages of a group become writable before their bits are set.",
        origin="design: the bits of a group come before its first permission",
        lived="-",
        program="two-pages-harvest",
        strategy="dbm_hybrid",
        replaces=((groups.claim_group, claim_nothing), (groups.open_group, open_then_claim)),
    ),
    Defect(
        name="group-not-looked-at-by-h-enter",
        what="H_ENTER makes an HPTE writable whose page is in no open group.",
        origin="design: H_ENTER looks at the bit under the rmap lock",
        lived="-",
        program="enable-enter",
        strategy="dbm_hybrid",
        replaces=((h_enter.enters_readonly, enters_writable),),
    ),
    Defect(
        name="group-opened-after-restart",
        what="A group is opened after the handler's section: logging has stopped and started "
        "meanwhile, and pages are writable that the new log takes for read-only.",
        origin="design: pages are opened inside a handler section, which a start of the log awaits",
        lived="-",
        program="group-disable-enable",
        strategy="dbm_hybrid",
        replaces=((hostfault.handle_fault, open_after_leaving),),
    ),
    Defect(
        name="group-marks-before-scan",
        what="A page that the host marked is not counted as cleared when its C is, and there is no "
        "flush.",
        origin="design: a harvest that cleared C flushes before it returns",
        lived="-",
        program="store-host-store-harvest",
        strategy="dbm_hybrid",
        replaces=((dbm_hybrid._scan_open, scan_after_marks),),
    ),
)
