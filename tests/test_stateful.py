"""Random lives of a guest, each step compared with the naive model; three times as many: slow."""

import random

import conftest
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from naive import (
    ABSENT,
    ALIAS,
    BASE,
    BIG,
    BOLTED,
    H_ANDCOND,
    H_AVPN,
    H_EXACT,
    H_READ_4,
    KEY_HI,
    KEY_LO,
    LINUX_RIGHTS,
    RWRW,
    RWRX,
    RWXX,
    RXRX,
    RXXX,
    SECONDARY,
    SMALL,
    VALID,
    M,
    N,
    Naive,
    R,
)

from strategies import registry
from strategies.core.h_change import h_clear_mod, h_clear_ref, h_protect, h_read
from strategies.core.h_enter import h_enter
from strategies.core.h_remove import h_bulk_remove, h_remove
from strategies.core.vm import Vm

HPT_ORDER = 18
VCPUS = 3
SETTINGS = settings(
    stateful_step_count=40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

RIGHTS = [
    LINUX_RIGHTS,
    LINUX_RIGHTS | N,
    M | RWRW,
    M | R | RXRX,
    M | RXXX,
    M | RWXX | KEY_LO,
    M | RWRX | KEY_HI,
]
PROTECTIONS = [RWRW, RWRX, RWXX, RXRX, 1 << 8 | 2, RWRW | N, RXRX | 3 << 12 | 0x200]
"""Flags of H_PROTECT; bit 8 is PP0 and bits 12, 13 the key's high ones."""

ACTS = ["store"] * 4 + ["load", "host_store", "enable", "disable"]
ACTS += ["harvest", "protect", "clear", "remove", "enter"] * 2

views = st.sampled_from([BASE, BASE, ALIAS, BIG, SMALL])
vcpus = st.integers(0, VCPUS - 1)
picks = st.integers(0, 1 << 16)
words = st.integers(0, (1 << 64) - 1)


class Guest(RuleBasedStateMachine):
    """One machine and its model, driven alike.

    There is one slot of two large pages, one of 37 pages at an odd place, and memory in no slot. A
    few pages are used, first and last ones of slots, words and large pages, so that steps meet.
    """

    strategy = None

    @initialize(
        page_shift=st.sampled_from([12, 16]),
        scattered=st.booleans(),
        seed=picks,
        enabled=st.booleans(),
    )
    def start(self, page_shift, scattered, seed, enabled):
        large = 1 << 24 - page_shift
        slots = [(large, 2 * large), (3 * large + 5, 37)]
        guest_pages = 3 * large + 50
        self.vm = Vm(
            guest_pages,
            page_shift=page_shift,
            hpt_order=HPT_ORDER,
            vcpus=VCPUS,
            mapping="scattered" if scattered else "linear",
            seed=seed,
        )
        self.tracker = registry.get(self.strategy)(self.vm)
        self.model = Naive(
            conftest.log_mode_of(self.strategy),
            page_shift,
            HPT_ORDER,
            VCPUS,
            guest_pages,
            scattered,
            seed,
        )
        for base, npages in slots:
            self.vm.add_memslot(base, npages)
            self.model.slots.append((base, npages))
        offsets = [0, 1, 63, 64, large - 1, large, 2 * large - 1]
        self.gfns = [large + offset for offset in offsets]
        self.gfns += [slots[1][0] + offset for offset in (0, 1, 35, 36)]
        self.outside = [0, slots[1][0] - 1, slots[1][0] + 37]
        self.touched = set()
        self.crowds = 0
        self.stamp = 0
        if enabled:
            self.enable(0)
            self.enable(1)

    # What the rules draw: numbers that pick from what there is.

    def gfn(self, pick):
        return self.gfns[pick % len(self.gfns)]

    def present(self, pick):
        return sorted(self.model.hptes)[pick % len(self.model.hptes)]

    def call(self, function, *args):
        """Make a hypercall in both; compare codes and results."""
        code, gpr = self.vm.hypercall(function, *args)
        if function is h_bulk_remove:
            model = self.model.h_bulk_remove(self.registers)
        else:
            model = getattr(self.model, function.__name__)(*args)
        expected, results = model
        assert code == expected
        for register, (value, dont_care) in results.items():
            got = int(gpr[register])
            assert (got ^ value) & ~dont_care == 0, f"r{4 + register}: {got:#x}, not {value:#x}"
        self.touched |= self.model.hptes.keys()
        return code

    def state_of(self, index):
        """VALID or ABSENT: whether the hardware finds an HPTE."""
        return int(self.vm.arrays.hpt[2 * index]) & (VALID | ABSENT)

    def is_mapped(self, view, gfn):
        """Say whether the hardware finds an HPTE for an address; else a TLB may, which is dead."""
        index = self.model.find(self.model.address(view, gfn), self.model.shift_of(view))
        return index is not None and self.state_of(index) == VALID

    # Loads and stores.

    @rule(vcpu=vcpus, view=views, pick=picks)
    def store(self, vcpu, view, pick):
        self.stamp += 1
        gfn = self.gfn(pick)
        expected = self.model.touch(vcpu, view, gfn, self.stamp)
        assert self.vm.store([gfn], self.stamp, view=view, vcpu=vcpu) == expected
        self.touched |= self.model.hptes.keys()
        assert self.is_mapped(view, gfn) or not expected

    @rule(view=views, drawn=st.lists(picks, min_size=2, max_size=6))
    def store_many(self, view, drawn):
        gfns = [self.gfn(pick) for pick in drawn]
        first = self.stamp + 1
        self.stamp += len(gfns)
        expected = sum(
            self.model.touch(k % VCPUS, view, gfn, first + k) for k, gfn in enumerate(gfns)
        )
        assert self.vm.store(gfns, first, step=1, view=view, vcpus=VCPUS) == expected
        self.touched |= self.model.hptes.keys()

    @rule(vcpu=vcpus, view=views, pick=picks)
    def load(self, vcpu, view, pick):
        gfn = self.gfn(pick)
        expected = self.model.touch(vcpu, view, gfn)
        assert self.vm.load([gfn], view=view, vcpu=vcpu) == expected
        self.touched |= self.model.hptes.keys()
        assert self.is_mapped(view, gfn) or not expected

    @rule(vcpu=vcpus, view=views, pick=picks, is_store=st.booleans())
    def touch_no_memory(self, vcpu, view, pick, is_store):
        gfn = self.outside[pick % len(self.outside)]
        expected = self.model.touch(vcpu, view, gfn, 1 if is_store else None)
        if is_store:
            assert self.vm.store([gfn], 1, view=view, vcpu=vcpu) == expected
        else:
            assert self.vm.load([gfn], view=view, vcpu=vcpu) == expected

    @rule(pick=picks)
    def host_store(self, pick):
        self.stamp += 1
        assert self.model.host_store(self.gfn(pick), self.stamp)
        self.vm.host_store(self.gfn(pick), self.stamp)

    @rule(pick=picks)
    def unmap(self, pick):
        """The hardware finds the page no more; the guest sees its HPTEs as before."""
        self.vm.unmap_page(self.gfn(pick))
        for index in self.model.unmap(self.gfn(pick)):
            assert self.state_of(index) == ABSENT
            self.call(h_read, 0, index)

    # Logging.

    @rule(slot=st.integers(0, 1))
    def enable(self, slot):
        self.tracker.enable_logging(slot)
        self.model.enable(slot)

    @rule(slot=st.integers(0, 1), again=st.booleans())
    def disable(self, slot, again):
        self.tracker.disable_logging(slot)
        self.model.disable(slot)
        if again:
            self.enable(slot)

    @precondition(lambda self: self.model.logs)
    @rule(pick=picks)
    def harvest(self, pick):
        slot = sorted(self.model.logs)[pick % len(self.model.logs)]
        expected = set(self.model.harvest(slot))
        assert conftest.harvest(self.tracker, slot) == expected

    # Hypercalls.

    @rule(
        view=views,
        pick=picks,
        to=picks,
        rights=st.sampled_from(RIGHTS),
        flags=st.sampled_from([0, H_EXACT]),
        bits=st.sampled_from([0, 1, SECONDARY, BOLTED, SECONDARY | BOLTED]),
        offset=st.integers(0, 7),
    )
    def enter(self, view, pick, to, rights, flags, bits, offset):
        """Map an address at any page, unless it is mapped already: a guest may not do that."""
        shift = self.model.shift_of(view)
        va = self.model.address(view, self.gfn(pick))
        if self.model.find(va, shift) is None:
            index = self.model.group(va, shift, bits & SECONDARY) + offset
            ptel = self.model.ptel(self.gfn(to), shift, rights)
            self.call(h_enter, flags, index, self.model.pteh(va, shift) | bits, ptel)

    @rule(view=views, pick=picks, what=st.sampled_from(["index", "size", "wimg", "memory"]))
    def enter_invalid(self, view, pick, what):
        va, shift = self.model.address(view, self.gfn(pick)), self.model.shift_of(view)
        index = self.model.group(va, shift, 0) + (self.model.nhptes if what == "index" else 0)
        gfn = self.outside[pick % len(self.outside)] if what == "memory" else self.gfn(pick)
        ptel = self.model.ptel(gfn, shift, RWRW | (0x20 if what == "wimg" else M))
        pteh = self.model.pteh(va, shift)
        if what == "size":
            pteh, ptel = pteh | 4, ptel & ~0xFF000 | 0x2000
        assert self.call(h_enter, 0, index, pteh, ptel) == -4

    @precondition(lambda self: self.crowds < 3)
    @rule(view=views, pick=picks, bolted=st.integers(0, 7))
    def crowd(self, view, pick, bolted):
        """Fill both groups of a page with addresses that nobody uses, some of them bolted."""
        self.crowds += 1
        va, shift = self.model.address(view, self.gfn(pick)), self.model.shift_of(view)
        for secondary in (0, SECONDARY):
            for k in range(9):
                pteh = self.model.pteh(1 << 77 | k << 40, 12) | secondary
                pteh |= BOLTED if k < bolted else 0
                ptel = self.model.ptel(self.gfn(pick + k), 12, LINUX_RIGHTS)
                self.call(h_enter, 0, self.model.group(va, shift, secondary), pteh, ptel)

    @precondition(lambda self: self.model.hptes)
    @rule(
        pick=picks,
        kind=st.sampled_from([0, 0, 0, H_AVPN, H_ANDCOND, H_AVPN | H_ANDCOND]),
        is_right=st.booleans(),
        bits=st.sampled_from([BOLTED, SECONDARY, 1, 0x60]),
    )
    def remove(self, pick, kind, is_right, bits):
        index = self.present(pick)
        avpn = self.model.hptes[index].v & ~0x7F if kind & H_AVPN else bits
        self.call(h_remove, kind, index, avpn if is_right else avpn ^ 0x180)

    @rule(
        requests=st.lists(
            st.tuples(picks, st.integers(0, 2), st.booleans(), st.booleans()),
            min_size=1,
            max_size=4,
        ),
        ending=st.sampled_from([0, 0, 1 << 62 | 3 << 56, 2 << 62, 3 << 62, 1 << 62 | 1 << 40]),
    )
    def bulk_remove(self, requests, ending):
        """Up to four requests; one too few ends with the end mark, or with a malformed one."""
        registers = []
        for pick, kind, is_right, is_present in requests:
            index = self.present(pick) if is_present and self.model.hptes else pick % 16384
            v = self.model.hptes[index].v if index in self.model.hptes else 0
            condition = {0: 0, 1: 0 if is_right else v, 2: v & ~0x7F if is_right else v ^ 0x80}
            registers += [1 << 62 | kind << 56 | index, condition[kind]]
        self.registers = (registers + [ending or 3 << 62, 0] * 4)[:8]
        self.vm.arrays.gpr[:8] = np.array(self.registers, np.uint64)
        self.call(h_bulk_remove)

    @precondition(lambda self: self.model.hptes)
    @rule(
        pick=picks,
        protection=st.sampled_from(PROTECTIONS),
        flags=st.sampled_from([0, 0, H_AVPN]),
        is_right=st.booleans(),
    )
    def protect(self, pick, protection, flags, is_right):
        index = self.present(pick)
        avpn = self.model.hptes[index].v & ~0x7F
        self.call(h_protect, protection | flags, index, avpn if is_right else 0)

    @rule(seed=picks, unmaps=st.booleans())
    def live(self, seed, unmaps=False):
        """Forty acts on two pages and the HPTEs of two views: chance alone seldom meets one twice.

        All is drawn from one number, which is a hundred times as fast as forty draws. A life
        without unmaps sees losses that an unmap, which saves C, would hide.
        """
        rng = random.Random(seed)
        acts = [*ACTS, "unmap", "unmap"] if unmaps else ACTS
        near = rng.sample(range(len(self.gfns)), 2)
        places = [(rng.choice([BASE, ALIAS, BIG, SMALL]), pick) for pick in near * 2]
        for _ in range(40):
            view, pick = rng.choice(places)
            self.act(rng, rng.choice(acts), view, pick, rng.choice(near))

    def act(self, rng, act, view, pick, to):
        vcpu = rng.randrange(VCPUS)
        va, shift = self.model.address(view, self.gfn(pick)), self.model.shift_of(view)
        index = self.model.find(va, shift)
        if act == "store":
            self.store(vcpu, view, pick)
        elif act == "load":
            self.load(vcpu, view, pick)
        elif act == "host_store":
            self.host_store(pick)
        elif act == "unmap":
            self.unmap(pick)
        elif act == "harvest" and self.model.logs:
            self.harvest(rng.randrange(2))
        elif act == "enable":
            self.enable(rng.randrange(2))
        elif act == "disable":
            self.disable(rng.randrange(2), rng.random() < 0.5)
        elif act == "protect" and index is not None:
            self.call(h_protect, rng.choice(PROTECTIONS), index, 0)
        elif act == "clear" and index is not None:
            self.call(rng.choice([h_clear_mod, h_clear_ref]), index)
        elif act == "remove" and index is not None:
            self.call(h_remove, 0, index, 0)
        elif act == "enter" and index is None:
            secondary = rng.choice([0, SECONDARY])
            group = self.model.group(va, shift, secondary)
            ptel = self.model.ptel(self.gfn(to), shift, rng.choice(RIGHTS))
            self.call(h_enter, 0, group, self.model.pteh(va, shift) | secondary, ptel)

    @precondition(lambda self: self.model.hptes)
    @rule(pick=picks, function=st.sampled_from([h_clear_mod, h_clear_ref]))
    def clear(self, pick, function):
        self.call(function, self.present(pick))

    @precondition(lambda self: self.model.hptes)
    @rule(pick=picks, flags=st.sampled_from([0, H_READ_4]))
    def read(self, pick, flags):
        self.call(h_read, flags, self.present(pick))

    @rule(index=st.one_of(st.integers(0, 20_000), words))
    def call_at_any_index(self, index):
        """Beyond the HPT: H_PARAMETER. An HPTE that is not there: H_NOT_FOUND."""
        if index not in self.model.hptes:
            for call in (
                (h_remove, 0, index, 0),
                (h_protect, RXRX, index, 0),
                (h_clear_mod, index),
                (h_clear_ref, index),
                (h_read, 0, index),
            ):
                self.call(*call)

    def teardown(self):
        """All HPTEs that ever were read as the model says, and memory holds what was stored."""
        if not hasattr(self, "vm"):
            return
        for index in sorted(self.touched):
            self.call(h_read, 0, index)
        states = self.vm.arrays.hpt[::2] & np.uint64(VALID | ABSENT)
        present = np.flatnonzero(states)
        assert present.tolist() == sorted(self.model.hptes)
        assert set(states[present].tolist()) <= {VALID, ABSENT}  # never both
        assert self.vm.arrays.stamps.tolist() == self.model.stamps
        assert self.vm.events()["evictions"] == sum(self.model.evictions)
        for slot in sorted(self.model.logs):
            assert conftest.harvest(self.tracker, slot) == self.model.harvest(slot)


@pytest.mark.parametrize("lives", [25, pytest.param(80, marks=pytest.mark.slow)])
def test_guest_and_model_agree(strategy, lives):
    machine = type("Guest", (Guest,), {"strategy": strategy})
    run_state_machine_as_test(machine, settings=settings(SETTINGS, max_examples=lives))


@pytest.mark.parametrize("lives", [40, pytest.param(120, marks=pytest.mark.slow)])
def test_many_lives_agree(strategy, lives):
    """The same acts without hypothesis: ten times as many in the same time."""
    for seed in range(lives):
        rng = random.Random(seed)
        guest = type("Guest", (Guest,), {"strategy": strategy})()
        guest.start(rng.choice([12, 16]), rng.random() < 0.5, seed, True)
        for _ in range(5):
            guest.live(rng.randrange(1 << 16), unmaps=seed % 2 == 1)
        guest.teardown()
