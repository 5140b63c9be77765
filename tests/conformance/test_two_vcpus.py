"""Two vCPUs at once, which share no group of the HPT and no page, are answered as by QEMU.

Since they share nothing each has one right answer to each command, in whatever order the two come.
QEMU runs a thread for each vCPU; it makes hypercalls one at a time, loads and stores at once.
"""

import commands as c
import compare
import numpy as np
import on_core
import on_qemu
import pytest

COUNT = 10_000

pytestmark = pytest.mark.skipif(not on_qemu.is_installed(), reason=on_qemu.MISSING)


def lists(seed, page_shift):
    return c.generate_apart(f"apart:{seed}", COUNT, on_core.new_vm(page_shift).machine)


@pytest.mark.parametrize("page_shift", [12, 16])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_vcpus_that_share_nothing_are_answered_as_by_qemu(seed, page_shift):
    both = lists(seed, page_shift)
    theirs, rows, hptes = compare.compare_apart(both, page_shift)
    assert [len(each) for each in rows] == [0, 0]
    assert hptes == []
    for commands, results in zip(both, theirs, strict=True):
        done = commands[results[:, 0] == 0][:, 0]
        assert {*c.WEIGHTS} == {*np.unique(done).tolist()}


def test_one_command_less_is_noticed_and_that_only_of_its_vcpu(monkeypatch):
    both = lists(1, 12)
    theirs, _, _ = compare.compare_apart(both, 12)
    entered = np.flatnonzero((both[1][:, 0] == c.ENTER) & (theirs[1][:, 0] == 0))[0]
    run = on_core.run_apart

    def without(vm, lists):
        fewer = [lists[0], lists[1].copy()]
        fewer[1][entered] = 0
        return run(vm, fewer)

    monkeypatch.setattr(on_core, "run_apart", without)
    _, rows, _ = compare.compare_apart(both, 12)
    assert (len(rows[0]), len(rows[1]) > 0) == (0, True)
