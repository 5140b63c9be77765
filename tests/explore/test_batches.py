"""A sweep that waits in its middle: with a batch of one HPTE two of them do, not 513."""

import pytest

from strategies.core import sweep
from strategies.explore.explorer import explore
from strategies.explore.session import find


@pytest.mark.parametrize("name", ["two-pages-harvest", "aliases-harvest", "unmap-aliases-harvest"])
def test_nothing_is_lost_when_a_batch_is_full(monkeypatch, name):
    batches, finish = set(), sweep._finish

    def noting(machine, slot, out, aside):
        batches.add(aside)
        return finish(machine, slot, out, aside)

    monkeypatch.setattr(sweep, "_finish", noting)
    explore(find(name), "hpt_sweep:1048576", limit=50)
    assert batches == {1, 2}
    monkeypatch.setattr(sweep, "SET_ASIDE", 1)
    batches.clear()
    assert explore(find(name), "hpt_sweep:1048576").finding is None
    assert batches == {1}
