"""The speed of a CPU: two loops that are there, what they make of it, and a wait for it."""

import math
import time

import pytest

from strategies.lanes.speed import (
    CLOCK_STEPS,
    NO_PATIENCE,
    PACE_STEPS,
    Patience,
    Speed,
    clock,
    pace,
    slower,
    speed,
    wait,
)


def test_the_loops_do_their_steps():
    """A compiler that sees that nothing comes of them leaves them out."""
    assert clock(100 * CLOCK_STEPS) > 10 * CLOCK_STEPS
    assert pace(100 * PACE_STEPS) > 10 * PACE_STEPS


@pytest.mark.parametrize("times", [1, 10])
def test_speed_is_of_one_batch_of_steps_however_many_it_takes(times, monkeypatch):
    monkeypatch.setattr("strategies.lanes.speed.clock", lambda steps: 2 * steps)
    monkeypatch.setattr("strategies.lanes.speed.pace", lambda steps: steps)
    assert speed(times) == Speed(2 * CLOCK_STEPS, PACE_STEPS / (2 * CLOCK_STEPS))


def test_the_slower_speed_is_so_in_both_respects():
    assert slower(Speed(4000, 1.4), Speed(4400, 1.0)) == Speed(4400, 1.4)


def waits(say, limit, seconds):
    begin = time.monotonic()
    wait(say, Patience(limit, begin + seconds, 1))
    return time.monotonic() - begin


def test_a_wait_ends_at_full_speed_or_with_patience():
    said = []
    assert waits(said.append, Speed(math.inf, math.inf), 60) < 10
    assert not said
    for too_quick in (Speed(0, math.inf), Speed(math.inf, 0)):  # for any CPU
        assert waits(said.append, too_quick, 0.5) >= 0.5
    assert set(said) == {0}  # signs of life


def test_without_patience_no_loop_runs(monkeypatch):
    """It would have a part in what the caches hold."""
    monkeypatch.setattr("strategies.lanes.speed.speed", pytest.fail)
    wait(pytest.fail, NO_PATIENCE)
