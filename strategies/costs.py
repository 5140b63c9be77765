"""What events cost on the platform that a machine stands for: for trackers that choose by cost."""

from typing import NamedTuple


class UnitCosts(NamedTuple):
    """Unit costs in nanoseconds, as far as a tracker's choices need them.

    The names are those of the model (`analysis.model.profile.COSTS`), but for those of several
    costs together, `first_write` and `page_written`.

    Attributes
    ----------
    platform : str
        Name of the profile that they are of.
    first_write : float
        A fault with its exit and its tlbies, and making the page read-only again.
    page_scan : float
        Looking at a clean page that is hot.
    word_read : float
        Reading one bitmap word.
    page_open, page_cool : float
        Making a page writable in a walk of neighbours, and read-only again.
    flush : float
        What ends a harvest that made pages read-only, if it would have needed none else.
    block_sweep : float
        Reading 128 bytes of the HPT in the order of memory; 0: there is none.
    page_pass : float
        Looking at a clean page of a whole slot, HPTEs fetched ahead; 0: there is no HPT.
    page_written : float
        Setting the changed bit of a page that is hot, and clearing it.
    cool_tlbie, flush_all : float
        The part of `page_cool` that is a tlbie, and a flush of all TLBs, which can stand for the
        tlbies of many pages; 0: no page has a tlbie of its own.
    """

    platform: str = "x86-kvm"
    first_write: float = 1228.0
    page_scan: float = 1.4
    word_read: float = 2.2
    page_open: float = 16.8
    page_cool: float = 28.0
    flush: float = 1500.0
    block_sweep: float = 0.0
    page_pass: float = 0.0
    page_written: float = 95.0
    cool_tlbie: float = 0.0
    flush_all: float = 0.0


X86_KVM = UnitCosts()
"""Of the profile x86-kvm: what is taken where nothing else is said. A test holds them to it."""
