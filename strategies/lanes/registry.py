"""The lanes, in the order in which they are shown. To add one: its file, and a line here."""

from importlib import import_module

from strategies.errors import InputError

LANES = {
    "uffd_async": "uffd_async:UffdAsync",
    "uffd_sync": "uffd_sync:UffdSync",
    "kvm_bitmap": "kvm_bitmap:KvmBitmap",
    "kvm_manual": "kvm_manual:KvmManual",
    "kvm_ring": "kvm_ring:KvmRing",
    "plain": "plain:Plain",
}
"""Name, and where its class is below `strategies.lanes`: module, colon, class."""


def get(name):
    """Return the class of a lane.

    Raises
    ------
    InputError
        There is none of that name.
    """
    if name not in LANES:
        raise InputError(f"unknown lane {name!r}: accepted are {', '.join(LANES)} or all")
    module, _, kind = LANES[name].partition(":")
    return getattr(import_module(f"strategies.lanes.{module}"), kind)
