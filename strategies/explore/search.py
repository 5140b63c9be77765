"""All schedules of a program up to a bound on preemptions, but for those that are equivalent.

As CHESS does, the search is stateless: each schedule runs from the start, and it counts
*preemptions*, the switches away from a thread that could have gone on. Schedules of 0 preemptions
come first, then those of 1, and so on, so the first failure has the fewest. A schedule follows its
prefix and from there lets the current thread go on while it can; every other choice on that way is
a branch, to be run later.

What is left out, and why nothing is lost
-----------------------------------------
Two schedules are equivalent when they order all dependent operations (the same word, at least one
writing) alike; they end in the same state. Only one sort of branch is left out. At a node where
thread A could go on with the operation `a`, a branch preempts A. Down that branch A *sleeps* until
another thread has made an operation that `a` depends on. Is A run before that, the schedule is

    prefix, [b w], a, rest         and equivalent to         prefix, a, [b w], rest

with `b w` of other threads and independent of `a`. The second has no more preemptions: both pay for
one switch from A to `b` (the second not even that, if A ends or waits after `a`); inside `b w` the
switches are the same; and the first leaves `b w` for `a` and `a` for `rest`, where the second
leaves `b w` for `rest` once. A thread and its store buffer take turns without a preemption where
one of them cannot go on, before and after the move alike. Whether a thread can go on is the same in
both, except for one that waits in `relax()`, for which `a` may be the awaited write: so a sleeper
that writes a word which such a thread watches is woken when that thread begins to wait.

Hence of all equivalent schedules within the bound take the one that is first in the order in which
"let the current thread go on" precedes every preemption, node by node: it is never left out. This
is where sleep sets without regard to the bound go wrong (Coons, Musuvathi, McKinley, "Bounded
partial-order reduction", OOPSLA 2013): a thread that is put to sleep after a *preempting* choice,
or at a choice that is free, may need one more preemption to be run early. Here it never sleeps.

By the same argument a branch that preempts A before `a` need not even be begun while no other
thread is known to touch the word of `a` (or, if `a` only reads, to write it). It is put off, and
taken up when a schedule shows such a thread: if a schedule down the branch had one, then the
schedule with `a` moved before the branch has it too, comes earlier in the order, and is explored.
"""

from collections import defaultdict
from typing import NamedTuple


class Branch(NamedTuple):
    """A schedule to be run: a prefix of an earlier one's steps, and another thread then.

    Attributes
    ----------
    steps : list of int
        The steps of the earlier schedule; `length` of them are the prefix.
    thread : int
        Who goes on there; -1 for the first schedule of all, which has no prefix.
    asleep : tuple of int
        Threads that sleep there.
    """

    steps: list
    length: int
    thread: int
    asleep: tuple


FIRST = Branch([], 0, -1, ())

EVERYBODY = (1 << 2 * 64) - 1
"""Marks (see `Frontier.note`) of all readers and writers."""

WRITERS = EVERYBODY // 3 * 2


class Frontier:
    """Branches not run yet, by their preemptions, and what is known of who touches which word.

    Parameters
    ----------
    bound : int
        Preemptions at most.
    prune : bool
        False: equivalent schedules are run, too.
    """

    def __init__(self, bound, prune):
        self.bound = bound
        self.prune = prune
        self._levels = [[FIRST]] + [[] for _ in range(bound)]
        self._touched = defaultdict(int)
        self._waiting = defaultdict(list)

    def take(self):
        """Return (preemptions, branch), of the fewest preemptions; the branch None if none is left.

        The latest comes first: depth first, with few branches kept.
        """
        for preemptions, level in enumerate(self._levels):
            if level:
                return preemptions, level.pop()
        return 0, None

    def add(self, preemptions, branch):
        """Add a branch to be run."""
        self._levels[preemptions].append(branch)

    def add_preempting(self, preemptions, branch, thread):
        """Add a branch that preempts `thread`, or put it off."""
        key = thread.key
        if not self.prune:
            self.add(preemptions, branch)
        elif key is not None:  # before `relax()` there is nothing to see
            rivals = _rivals(thread)
            if self._touched[key] & rivals:
                self.add(preemptions, branch)
            else:
                self._waiting[key].append((rivals, preemptions, branch))

    @property
    def put_off(self):
        """Branches of which nobody has shown yet that they could matter."""
        return sum(map(len, self._waiting.values()))

    def note(self, thread):
        """Note which word a thread touches; take up what waited for that."""
        key = thread.key
        if key is None:
            return
        mark = (2 if thread.writes else 1) << 2 * thread.number
        known = self._touched[key]
        if known & mark:
            return
        self._touched[key] = known = known | mark
        waiting = self._waiting.pop(key, ())
        for entry in waiting:
            rivals, preemptions, branch = entry
            if known & rivals:
                self.add(preemptions, branch)
            else:
                self._waiting[key].append(entry)


def _rivals(thread):
    """Return the marks (see `note`) of whom the next operation of a thread depends on."""
    readers_and_writers = EVERYBODY if thread.writes else WRITERS
    return readers_and_writers & ~(3 << 2 * thread.number)


class Search:
    """The policy of one schedule: follow a branch's prefix, then go on, collecting branches."""

    def __init__(self, frontier, preemptions, branch):
        self._frontier = frontier
        self._preemptions = preemptions
        self._branch = branch
        self._asleep = ()

    def choose(self, schedule):
        """Return the thread that goes on; None if all who can would only repeat a schedule."""
        taken = len(schedule.steps)
        prefix = self._branch
        if taken < prefix.length:
            return schedule.threads[prefix.steps[taken]]
        if taken == prefix.length and prefix.thread >= 0:
            self._asleep = prefix.asleep
            return schedule.threads[prefix.thread]
        current = schedule.current
        if self._asleep and current.words is None:
            self._wake_for_waiting(schedule, current)
        following = current and current.next
        if following:
            if self._preemptions < self._frontier.bound:
                self._branch_from(schedule, following)
            return None if following.number in self._asleep else following
        awake = self._awake(schedule)
        for thread in awake[1:]:
            branch = Branch(schedule.steps, taken, thread.number, self._asleep)
            self._frontier.add(self._preemptions, branch)
        return awake[0] if awake else None

    def _awake(self, schedule):
        return [thread for thread in schedule.runnable if thread.number not in self._asleep]

    def _branch_from(self, schedule, current):
        asleep = (*self._asleep, current.number) if self._frontier.prune else ()
        for thread in self._awake(schedule):
            if thread is not current:
                branch = Branch(schedule.steps, len(schedule.steps), thread.number, asleep)
                self._frontier.add_preempting(self._preemptions + 1, branch, current)

    def _wake_for_waiting(self, schedule, waiting):
        """Wake sleepers whose write a thread that begins to wait in `relax()` may be awaiting."""
        self._asleep = tuple(
            number
            for number in self._asleep
            if not schedule.threads[number].writes
            or schedule.threads[number].key not in waiting.watched
        )

    def observe(self, schedule, thread):
        """See a step: it wakes the sleepers that depend on it."""
        if len(schedule.steps) >= self._branch.length:
            self._frontier.note(thread)
        if self._asleep:
            self._asleep = tuple(
                number for number in self._asleep if not thread.depends_on(schedule.threads[number])
            )
