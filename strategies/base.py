"""The contract of a tracker, and KVM's ioctls around it."""

import errno
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from strategies.core.memslot import PAGES_PER_WORD
from strategies.core.vm import bitmap_words
from strategies.parameter import Parameter


class DirtyTracker(ABC):
    """Finds out which pages of a memory slot were written since it was last asked.

    A subclass is one strategy in one file. It gives a name, how many bitmaps it keeps for a
    slot, and three kernels; this class is the ioctl layer, the same for all.

    The promise, judged by stamps and never by the tracker itself:

    - a store that finished before `get_dirty_log` began is in its result;
    - one that runs beside it is in its result or in the next;
    - with all vCPUs stopped the result is the written set, unless the class says why it is more.

    What is reported counts as clean from then on. Enabling starts an empty log. Disabling leaves
    the guest its own permissions, R and C.

    Parameters
    ----------
    vm : strategies.core.vm.Vm
        The machine.
    """

    name: ClassVar[str]
    """Registry key, asv parameter and plot label; a tracker from outside is given its own."""

    bitmaps: ClassVar[int] = 0
    """Dirty bitmaps that the strategy keeps for each logging slot."""

    parameter: ClassVar[Parameter | None] = None
    """Of a tracker from outside: its number. Of ours the registry's line has it."""

    value: ClassVar[int | None] = None
    """Of the parameter, set by `registry.get`; None where there is none."""

    def __init__(self, vm):
        self.vm = vm

    @abstractmethod
    def _enable(self, slot):
        """Start an empty log of a slot."""

    @abstractmethod
    def _disable(self, slot):
        """Stop logging a slot and give the guest back its own permissions."""

    @abstractmethod
    def _harvest(self, slot, out):
        """Write the log of a slot to `out`, clear it and re-arm; return the nanoseconds it took.

        Parameters
        ----------
        out : uint64[ceil(npages / 64)]
            The caller's buffer, whatever it holds; bit i of word w is page 64 * w + i of the slot.
        """

    def enable_logging(self, slot):
        """Set KVM_MEM_LOG_DIRTY_PAGES on a slot; the log starts empty.

        Raises
        ------
        OSError
            EINVAL: no such slot. EBUSY: another tracker logs it.
        """
        with self.vm.slots_lock:
            self._check(slot)
            if self.vm.logged_by.get(slot, self) is not self:
                raise OSError(errno.EBUSY, f"slot {slot} is logged by another tracker")
            if not self._logs(slot):
                self._enable(slot)
                self.vm.logged_by[slot] = self

    def disable_logging(self, slot):
        """Clear KVM_MEM_LOG_DIRTY_PAGES on a slot; its log is gone. EINVAL as above."""
        with self.vm.slots_lock:
            self._check(slot)
            if self._logs(slot):
                del self.vm.logged_by[slot]
                self._disable(slot)

    def get_dirty_log(self, slot, out):
        """Get and clear the log of a slot (KVM_GET_DIRTY_LOG).

        Parameters
        ----------
        out : uint64[ceil(npages / 64)]
            Bit i of word w (little-endian) is page 64 * w + i of the slot; padding bits are 0.

        Returns
        -------
        int
            Nanoseconds that the harvest took, measured inside compiled code.

        Raises
        ------
        OSError
            EINVAL: no such slot. ENOENT: it is not being logged. EFAULT: the buffer is unusable,
            found before anything is cleared, so that nothing is lost (KVM's copy comes last, and
            a failure there loses the log).
        """
        with self.vm.slots_lock:
            self._check_buffer(self._check_logged(slot), out)
            return self._harvest(slot, out)

    def buffer(self, slot):
        """Return a zeroed buffer of the size that `get_dirty_log` wants for a slot."""
        return np.zeros(bitmap_words(self._check(slot)), dtype="<u8")

    @property
    def state_bytes(self):
        """Bytes that the strategy keeps beyond the machine: its bitmaps of the logging slots."""
        pages = (npages for slot, (_, npages) in enumerate(self.vm.slots) if self._logs(slot))
        return sum(8 * self.bitmaps * bitmap_words(npages) for npages in pages)

    def _logs(self, slot):
        return self.vm.logged_by.get(slot) is self

    def _check_logged(self, slot):
        """Return the number of pages of a slot that this tracker logs."""
        npages = self._check(slot)
        if not self._logs(slot):
            raise OSError(errno.ENOENT, f"slot {slot} is not being logged")
        return npages

    @staticmethod
    def _check_buffer(npages, bits):
        """Refuse what is no bitmap of so many pages."""
        if not (
            isinstance(bits, np.ndarray)
            and bits.dtype == np.dtype("<u8")
            and bits.shape == (bitmap_words(npages),)
            and bits.flags.c_contiguous
            and bits.flags.aligned
            and bits.flags.writeable
        ):
            raise OSError(errno.EFAULT, f"buffer is not uint64[{bitmap_words(npages)}]")

    def _check(self, slot):
        """Return the number of pages of a slot that exists."""
        if not (isinstance(slot, int) and 0 <= slot < len(self.vm.slots)):
            raise OSError(errno.EINVAL, f"no memory slot {slot}")
        return self.vm.slots[slot][1]


class SparseTracker(DirtyTracker):
    """A tracker whose log can be read as a list, too: the words that are not 0, and their numbers.

    What a harvest costs then depends on what is dirty, and not on what exists.
    """

    @abstractmethod
    def _harvest_words(self, slot, numbers, masks):
        """Write the log of a slot to a list, clear it and re-arm; return as `get_dirty_words`."""

    def get_dirty_words(self, slot, numbers, masks):
        """Get and clear the log of a slot, or as much of it as there is room for.

        Parameters
        ----------
        numbers, masks : uint64[n]
            Bit i of `masks[k]` is page `64 * numbers[k] + i` of the slot; ascending.

        Returns
        -------
        words : int
            How many were written.
        more : bool
            Whether some found no room, perhaps: they stay in the log until the next call.
        ns : int
            Nanoseconds that the harvest took, measured inside compiled code.

        Raises
        ------
        OSError
            As of `get_dirty_log`; EFAULT also where there is no room for a word, or the two differ
            in size.
        """
        with self.vm.slots_lock:
            self._check_logged(slot)
            if not numbers.size == masks.size > 0:
                raise OSError(errno.EFAULT, "numbers and masks are not of one size above 0")
            for buffer in (numbers, masks):
                self._check_buffer(PAGES_PER_WORD * buffer.size, buffer)
            return self._harvest_words(slot, numbers, masks)


class ManualTracker(DirtyTracker):
    """A tracker whose log can be copied, and be cleared page by page later (manual protect).

    Beside the promise of every tracker, which `get_dirty_log` keeps by doing both:

    - a store that finished before `copy_dirty_log` began is in its result, unless it was cleared;
    - a page that `clear_dirty_log` cleared counts as clean from its return on: who copies the page
      then has every store that finished before, and a later one is in the next copy;
    - what was not named to `clear_dirty_log` stays as it is.
    """

    @abstractmethod
    def _enable_all_set(self, slot):
        """Start a log in which every page is dirty."""

    @abstractmethod
    def _copy(self, slot, out):
        """Write the log of a slot to `out`; return the nanoseconds it took."""

    @abstractmethod
    def _clear(self, slot, first, bits):
        """Clear and re-arm the pages of `bits`, from word `first` on; return the nanoseconds."""

    def enable_all_set(self, slot):
        """As `enable_logging`, but all pages are dirty at first (KVM_DIRTY_LOG_INITIALLY_SET).

        Nothing is walked: a page is protected when it is cleared first.
        """
        with self.vm.slots_lock:
            self._check(slot)
            if slot in self.vm.logged_by:
                raise OSError(errno.EBUSY, f"slot {slot} is logged already")
            self._enable_all_set(slot)
            self.vm.logged_by[slot] = self

    def copy_dirty_log(self, slot, out):
        """Copy the log and clear nothing (KVM_GET_DIRTY_LOG under manual protect).

        Parameters and errors as of `get_dirty_log`.
        """
        with self.vm.slots_lock:
            self._check_buffer(self._check_logged(slot), out)
            return self._copy(slot, out)

    def clear_dirty_log(self, slot, first_page, npages, bits):
        """Clear the pages of a range that `bits` names (KVM_CLEAR_DIRTY_LOG); return nanoseconds.

        Parameters
        ----------
        first_page, npages : int
            Multiples of 64; the range may end with the slot instead.
        bits : uint64[ceil(npages / 64)]
            Bit i of word w is page `first_page + 64 * w + i`. Those beyond the slot do nothing.

        Raises
        ------
        OSError
            As of `get_dirty_log`; EINVAL: no such range.
        """
        with self.vm.slots_lock:
            pages = self._check_logged(slot)
            end = first_page + npages
            fits = 0 <= first_page < end <= pages and not first_page % PAGES_PER_WORD
            if not fits or (npages % PAGES_PER_WORD and end != pages):
                raise OSError(errno.EINVAL, f"no range of whole words: {first_page} to {end}")
            self._check_buffer(npages, bits)
            return self._clear(slot, first_page // PAGES_PER_WORD, bits)
