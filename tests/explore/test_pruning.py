"""Nothing is lost by pruning: the final states are those of all schedules within the bound."""

import pytest
from toy import Toy, draw

from strategies.explore.explorer import explore
from strategies.explore.session import find

PROGRAMS = (
    ("store-harvest", "write_protect", 2),
    ("store-harvest", "double_buffer", 2),
    ("restore-harvest", "c_bit_scan", 2),
    ("remove-store-harvest", "c_bit_scan", 1),
    ("store-remove", "write_protect_batched", 1),
    ("stores-harvest", "c_bit_scan", 1),
    ("store-host-store-harvest", "double_buffer", 1),
)


@pytest.mark.parametrize("memory", ["sc", "tso"])
@pytest.mark.parametrize(("name", "strategy", "bound"), PROGRAMS)
def test_no_final_state_of_a_program_is_lost(name, strategy, bound, memory):
    program, bound = find(name), min(bound, 1 if memory == "tso" else bound)
    pruned = explore(program, strategy, bound, memory=memory, states=True)
    full = explore(program, strategy, bound, memory=memory, prune=False, states=True)
    assert pruned.states == full.states
    assert len(full.states) > 1
    assert pruned.schedules < 0.8 * full.schedules


@pytest.mark.parametrize("memory", ["sc", "tso"])
@pytest.mark.parametrize(
    ("threads", "bound", "programs"),
    [
        *((2, 1, 60), (2, 2, 60), (2, 3, 10), (3, 1, 40), (3, 2, 20)),
        pytest.param(2, 3, 60, marks=pytest.mark.slow),
    ],
)
def test_no_final_state_of_a_drawn_program_is_lost(threads, bound, programs, memory):
    """The final state includes all that was read, and whether the threads wait for ever."""
    schedules = {True: 0, False: 0}
    for seed in range(programs):
        toy = Toy(draw(seed, threads), memory)
        found = {prune: toy.explore(bound, prune) for prune in schedules}
        assert found[True].states == found[False].states, (seed, toy.threads)
        for prune, result in found.items():
            schedules[prune] += result.schedules
    assert schedules[True] < 0.8 * schedules[False]


def test_all_interleavings_are_seen_when_the_bound_is_high():
    """Two threads that read, then write: each may overtake the other."""
    toy = Toy([[("load", 0), ("store", 0)], [("load", 0), ("store", 0)]])
    reads = {state[1] for state, _ in toy.explore(9, True).states}
    assert reads == {((0,), (0,)), ((0,), (11,)), ((11,), (0,))}


def test_a_bound_of_0_lets_each_thread_go_on_while_it_can():
    toy = Toy([[("load", 0), ("store", 0)], [("load", 0), ("store", 0)]])
    reads = {state[1] for state, _ in toy.explore(0, True).states}
    assert reads == {((0,), (11,)), ((11,), (0,))}
