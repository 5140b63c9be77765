"""The catalogue of losses: each defect is found, and the correct code finds nothing.

The explorer needs a process without the JIT; one explores everything for all tests here.
"""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

LIMIT_SECONDS = 1800
MOST_SCHEDULES = 160
"""Within so many each defect is found."""

EXPLORE = """
import json
from strategies.explore import catalogue
from strategies.explore.session import find
from strategies.explore.explorer import explore

defects = {}
for defect in catalogue.DEFECTS:
    place = find(defect.program), defect.strategy
    found = explore(*place, defect=defect, memory=defect.memory).finding
    defects[defect.name] = {
        "texts": [defect.what, defect.origin, defect.lived],
        "program": defect.program,
        "needs_buffers": defect.memory == "tso" and not explore(*place, defect=defect).finding,
        "kind": found and found.kind,
        "schedules": found and found.schedules,
    }
correct = {}
places = {(each.program, each.strategy, each.memory) for each in catalogue.DEFECTS}
for program, strategy, memory in sorted(places):
    result = explore(find(program), strategy, memory=memory)
    text = result.finding and result.finding.text
    correct[f"{program}, {strategy}, {memory}"] = result.schedules, text
unused = {each.name for each in catalogue.PROGRAMS} - {each.program for each in catalogue.DEFECTS}
print(json.dumps({"defects": defects, "correct": correct, "unused": sorted(unused)}))
"""

HAZARDS = {
    "1 remove, then enter again": "changed-overwritten",
    "2 C read before the tlbie in H_REMOVE": "remove-reads-c-early",
    "2 C read before the tlbie in H_PROTECT": "protect-reads-c-early",
    "3 delayed write-back of C": "delayed-c-trusted",
    "4 large page": "large-page-one-bit",
    "5 writes of the host": "host-store-not-logged",
    "6 C cleared without tlbie": "c-cleared-without-tlbie",
    "7 memset at the start of GET": "memset-of-the-log",
    "8 mark, protect, take": "protect-then-take",
    "9 partial last word": "last-word-forgotten",
    "9 bit order": "big-endian-bits",
    "10 EFAULT after the clear": "efault-after-clear",
    "protected before the bitmaps are switched": "protect-then-switch",
    "read-only, taken for clean": "read-only-taken-for-clean",
    "logging starts without a flush": "enable-without-flush",
    "a large page marked in one word": "large-page-in-one-word",
    "a ring, and no bitmap for who is no vCPU": "ring-without-bitmap",
    "a clear of what its caller never saw": "clear-of-unknown-bits",
    "a page that the host keeps mapped": "held-mapping-marked-once",
    "a page that the host takes away": "unmap-drops-c",
    "C read before the tlbie when the host takes a page away": "unmap-reads-c-early",
    "no tlbie when the host takes a page away": "unmap-without-tlbie",
    "the second slot's pages taken for the first's": "second-slot-misplaced",
}
"""Known ways to lose a page, from the kernel's history, and the defect that stands for each."""

RULES = {
    "no tlbie": "no-tlbie",
    "no tlbie when an absent HPTE goes": "no-tlbie-of-an-absent-hpte",
    "no tlbie when a read-only HPTE is protected": "protect-skips-its-tlbie",
    "no wait in the ptesync": "no-ptesync-wait",
    "plain store instead of exchange": "plain-store-not-exchange",
    "HPTE lock awaited under the rmap lock": "hpte-lock-awaited-under-rmap-lock",
    "switch without grace period": "no-grace-period",
    "one dirty count for two bitmaps": "one-count-for-two-bitmaps",
    "mark before the critical section": "mark-before-the-lock",
    "mark after the critical section": "mark-after-the-lock",
    "the order of copy and zero in Book3S PR": "copy-then-zero",
    "a TLB fill that does not re-read": "fill-without-second-look",
    "no flush at the end": "no-flush",
    "C not merged in the fault handler": "fault-forgets-c",
    "R cleared by a load and a store": "clear-ref-by-load-and-store",
    "permission changed by a load and a store": "permission-by-load-and-store",
    "R cleared with C": "r-cleared-with-c",
    "CHANGED reported and left": "changed-not-taken",
    "an absent HPTE not found": "absent-is-not-found",
    "two ioctls at once": "no-slots-lock",
    "two trackers of one slot": "two-trackers-of-a-slot",
    "the marks of the log before": "old-marks-in-a-new-log",
    "an HPTE taken for the one that was there": "presence-for-identity",
    "a group taken for full": "full-at-one-look",
    "C that a TLB entry owes, without its lock": "owed-c-without-lock",
    "R set by a load and a store": "r-by-load-and-store",
    "the one flush before C is cleared": "flush-then-clear",
    "no wait for tlbies that share one": "no-shared-wait",
    "valid again, taken for absent": "valid-again-taken-for-absent",
    "C read before it is fetched from the TLBs": "owed-c-not-fetched",
    "a page passed at one look at its rmap": "passed-at-one-look",
    "a page passed in spite of CHANGED": "changed-passed-over",
    "a ring passed by its head": "ring-passed-by-its-head",
    "the rmap swept before the HPT": "rmap-swept-first",
    "the rmap not swept": "rmap-not-swept",
    "a sweep without a wait": "swept-without-a-wait",
    "a ring reset without a flush": "ring-reset-without-flush",
    "a ring collected, its pages left writable": "ring-collected-not-reset",
    "a ring's entries taken by two at once": "ring-reaped-by-two",
    "a full ring written over": "ring-overwritten",
    "an entry of a log after its index": "ring-index-before-entry",
    "a page sent before its clear": "sent-before-cleared",
    "a log drained before its vCPU has spilled": "pml-drained-before-it-spilled",
    "C cleared before the log is drained": "pml-cleared-before-drained",
    "C cleared in place without a flush": "pml-without-flush",
    "C cleared while a TLB owes it": "pml-owed-c-comes-back",
    "marks taken after TLBs paid their C": "pml-taken-after-the-flush",
    "C set before there is room in the log": "pml-full-after-c",
    "a log's entries taken by two at once": "pml-drained-by-two",
    "an HPTE entered with C, and nothing logged": "pml-entered-with-c",
    "a permission before its group's bit": "group-permission-before-bit",
    "a group opened before its bits": "group-opened-before-bits",
    "a group not looked at by H_ENTER": "group-not-looked-at-by-h-enter",
    "a group opened after logging started again": "group-opened-after-restart",
    "marks taken before the scan": "group-marks-before-scan",
    "a summary marked before the bit": "summary-before-bit",
    "the upper summary marked before the lower": "summary-upper-before-lower",
    "a summary marked for new bits alone": "summary-of-new-bits-alone",
    "pages armed before the log is taken": "summary-armed-before-found",
    "a flush before pages are armed": "summary-flushed-before-armed",
    "a permission before its page's bit": "heat-permission-before-bit",
    "permissions of groups beside before their bits": "heat-beside-opened-before-bits",
    "a page cooled before its bit is taken": "heat-cooled-before-bit",
    "a cooled page not looked at again": "heat-not-looked-at-again",
    "a second look without a flush": "heat-second-look-without-flush",
    "a flush left out that stands for tlbies": "heat-cooled-without-flush",
    "a page opened though it was cooled": "heat-opened-though-cold",
    "a cold page not looked at by H_ENTER": "heat-not-looked-at-by-h-enter",
    "a page hot by its own bit alone": "heat-page-bit-alone",
    "a word dropped at one look": "heat-word-dropped-at-one-look",
    "a page hot before harvests look at bits": "heat-word-bit-alone",
    "harvests that rest after one look": "heat-rest-at-one-look",
    "a debt that two pass and none pays": "heat-debt-passed-by-two",
    "C in the rmap after it left the HPTE": "unmap-saves-c-late",
    "a page's number in the guest for that in its slot": "base-of-slot-forgotten",
    "the active half of another slot": "half-of-another-slot",
    "a half that is two slots'": "half-shared-by-slots",
    "a start that clears the marks of all slots": "bitmaps-cleared-by-a-start",
    "a stop that gives permissions back in all slots": "permissions-restored-in-all-slots",
    "a ring's entry of another slot": "ring-entry-of-another-slot-dropped",
    "a start that empties the rings of all slots": "rings-emptied-by-a-start",
    "a hardware log's entry of another slot": "pml-entry-of-another-slot-dropped",
    "a stop of the hardware for all slots": "pml-off-with-the-first-slot",
    "EBUSY for a slot that nobody logs": "busy-for-another-slot",
}
"""Rules of the machine's design."""

BUFFERED = {
    "announced by a plain store": "announced-by-a-plain-store",
    "a TLB filled by a plain store": "filled-by-a-plain-store",
    "the host's data behind its look at the mark": "host-store-may-wait",
}
"""What only a store buffer shows."""

KINDS = {
    "hpte-lock-awaited-under-rmap-lock": "deadlock",
    "no-tlbie-of-an-absent-hpte": "dead translation",
    "no-ptesync-wait": "dead translation",
    "permission-by-load-and-store": "guest's C lost",
    "r-cleared-with-c": "guest's R lost",
    "changed-not-taken": "spurious page",
    "presence-for-identity": "spurious page",
    "two-trackers-of-a-slot": "no such order",
    "old-marks-in-a-new-log": "no such order",
    "full-at-one-look": "no such order",
    "heat-debt-passed-by-two": "debt not paid",
    "absent-is-not-found": "wrong return code",
    "protect-skips-its-tlbie": "dead translation",
    "unmap-without-tlbie": "dead translation",
    "unmap-saves-c-late": "no such order",
    "busy-for-another-slot": "error",
    "announced-by-a-plain-store": "dead translation",
}
"""What is found where it is not a lost page."""

IN_ONE_SCHEDULE = (
    "changed-overwritten",
    "delayed-c-trusted",
    "large-page-one-bit",
    "memset-of-the-log",
    "changed-not-taken",
    "read-only-taken-for-clean",
    "last-word-forgotten",
    "big-endian-bits",
    "efault-after-clear",
    "changed-passed-over",
    "rmap-not-swept",
    "ring-overwritten",
    "clear-of-unknown-bits",
    "pml-cleared-before-drained",
    "pml-without-flush",
    "pml-owed-c-comes-back",
    "pml-full-after-c",
    "pml-entered-with-c",
    "unmap-drops-c",
    "base-of-slot-forgotten",
    "half-of-another-slot",
    "half-shared-by-slots",
    "second-slot-misplaced",
    "bitmaps-cleared-by-a-start",
    "permissions-restored-in-all-slots",
    "ring-entry-of-another-slot-dropped",
    "rings-emptied-by-a-start",
    "pml-entry-of-another-slot-dropped",
    "pml-off-with-the-first-slot",
)
"""No second thread is needed to lose the page."""


@pytest.fixture(scope="module")
def explored():
    """What exploring every defect, and the correct code, came to."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", EXPLORE],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


ALL = HAZARDS | RULES | BUFFERED


@pytest.mark.parametrize("name", ALL.values(), ids=ALL)
def test_defect_is_found(explored, name):
    found = explored["defects"][name]
    assert found["kind"] == KINDS.get(name, "lost page")
    assert found["schedules"] <= MOST_SCHEDULES


@pytest.mark.parametrize("name", BUFFERED.values())
def test_it_is_found_with_store_buffers_only(explored, name):
    assert explored["defects"][name]["needs_buffers"]


@pytest.mark.parametrize("name", IN_ONE_SCHEDULE)
def test_defect_is_found_without_a_second_thread(explored, name):
    found = explored["defects"][name]
    assert found["program"].startswith("in-turn")
    assert found["schedules"] == 1


def test_no_defect_is_left_out_above(explored):
    assert explored["defects"].keys() == set(ALL.values())


def test_correct_code_under_the_same_programs_finds_nothing(explored):
    assert {what: text for what, (_, text) in explored["correct"].items() if text} == {}
    assert sum(schedules for schedules, _ in explored["correct"].values()) > 1000


def test_every_defect_says_what_it_did_and_whence_it_is(explored):
    assert all(all(found["texts"]) for found in explored["defects"].values())


def test_every_program_of_the_catalogue_serves_a_defect(explored):
    assert explored["unused"] == []
