"""The yardstick: the same harvest in C leaves the same bitmap, tables and counts."""

import shutil

import pytest

from benchmarks.harvest_against_c import KERNELS, Contest, WrongHarvestError, c_compiler, compile_c
from benchmarks.machine_costs import build

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc"))), reason="needs a C compiler: apt-get install gcc"
)


@pytest.fixture(scope="module")
def functions():
    return compile_c(c_compiler())


@pytest.mark.parametrize("mapping", ["linear", "scattered"])
@pytest.mark.parametrize("name", KERNELS)
def test_c_and_numba_agree(functions, name, mapping):
    vm = build(4 << 20, mapping)
    Contest(vm, name, functions[name], 0.01).verify()


def test_the_comparison_notices_a_wrong_harvest(functions):
    vm = build(4 << 20, "linear")
    contest = Contest(vm, "c_bit_scan", lambda *_: 0, 0.01)
    with pytest.raises(WrongHarvestError, match="the bitmap is not what was written"):
        contest.verify()
