"""How threads are scheduled: one step at a time, and nobody spins for nothing."""

from toy import Toy

from strategies.explore.trace import Replay


def outcome(toy, text):
    schedule, violation, (words, read) = toy.run(Replay(text))
    return schedule.steps, violation and violation.kind, dict(words), read


def test_a_schedule_says_who_makes_each_step():
    toy = Toy([[("store", 0), ("load", 1)], [("store", 1), ("load", 0)]])
    assert outcome(toy, "A1 B2 A*") == ([0, 1, 1, 0], None, {}, ((0,), (0,)))
    toy = Toy([[("add", 0), ("load", 1)], [("add", 1), ("load", 0)]])
    assert outcome(toy, "A1 B2 A*")[3] == ((0, 1), (0, 1))
    assert outcome(toy, "A2 B*")[3] == ((0, 0), (0, 1))


def test_a_thread_in_relax_waits_until_what_it_read_changes():
    toy = Toy([[("wait", 0), ("load", 0)], [("add", 1), ("add", 0)]])
    steps, violation, _, read = outcome(toy, "A1 B2 A*")
    assert (violation, read[0]) == (None, (1,))
    assert steps == [0, 1, 1, 0, 0, 0]  # load; both adds; relax, load, load


def test_threads_that_all_wait_are_a_deadlock():
    toy = Toy([[("wait", 0), ("add", 1)], [("wait", 1), ("add", 0)]])
    assert outcome(toy, "A1 B*")[1] == "deadlock"


def test_threads_that_wake_each_other_for_ever_are_a_livelock():
    toy = Toy([[("quarrel", 0)], [("quarrel", 0)]])
    result = toy.explore(0, True)
    assert result.finding.kind == "livelock"


def test_a_write_that_changes_nothing_wakes_nobody():
    toy = Toy([[("wait", 0)], [("store", 0)]])  # it stores 0
    assert outcome(toy, "A1 B*")[:2] == ([0, 1], "deadlock")
