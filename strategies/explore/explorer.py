"""Explore a program under a tracker, replay one schedule, and say what was found."""

from contextlib import contextmanager
from dataclasses import dataclass, field

from strategies.core import tlb
from strategies.core.vcpus import enter_guest, leave_guest
from strategies.core.words import U64
from strategies.errors import InputError, told
from strategies.explore.defect import substituted
from strategies.explore.final import FinalJudge, alone
from strategies.explore.linear import Call, OrderJudge
from strategies.explore.scene import Scene
from strategies.explore.scheduler import Schedule, Violation
from strategies.explore.search import Frontier, Search
from strategies.explore.store_buffers import Memory
from strategies.registry import file_of

FURTHER_SCHEDULES = 300
"""After a failure so many more schedules of as few preemptions are tried for a shorter one."""

SMALL_TLB = 4
"""Entries. As with 2,048 two pages have two of them, and the aliases of a page share one."""


@dataclass(frozen=True)
class Finding:
    """A schedule under which the program fails.

    Attributes
    ----------
    kind, text : str
        What is wrong; see `Violation`.
    schedules : int
        Schedules run until the first failure; 0 if no schedule could begin.
    preemptions : int
    steps : tuple of int
        The thread of each step, of the shortest failing schedule that was found.
    """

    kind: str
    text: str
    schedules: int
    preemptions: int
    steps: tuple[int, ...]


@dataclass
class Result:
    """What came of exploring a program.

    Attributes
    ----------
    program, strategy : str
    threads, bound : int
    schedules : int
        Run to their end.
    pruned : int
        Left out, or given up early, as equivalent to one that was run.
    longest : int
        Steps of the longest schedule.
    finding : Finding or None
    states : set of (tuple, str or None)
        The final states and what is wrong with them, if asked for.
    defect : str or None
        Name of the defect that was switched on.
    memory : {"sc", "tso"}
    """

    program: str
    strategy: str
    threads: int
    bound: int
    schedules: int = 0
    pruned: int = 0
    longest: int = 0
    finding: Finding | None = None
    states: set = field(default_factory=set)
    defect: str | None = None
    memory: str = "sc"


class Explorer:
    """A program, ready to be run under any schedule.

    Parameters
    ----------
    program : Program
    strategy : str
        Name of a tracker.
    memory : Memory, optional
        With it threads have store buffers.
    """

    def __init__(self, program, strategy, memory=None):
        self.program = program
        self.strategy = strategy
        self.memory = memory
        self.scene = Scene(program, strategy, memory)
        self._final = FinalJudge(self.scene, program, strategy)
        self._order = OrderJudge(self.scene, strategy) if program.is_of_operations else None
        self._calls = []

    def run(self, policy):
        """Run one schedule and judge it.

        Parameters
        ----------
        policy
            `choose` and `observe`; see `Schedule`.

        Returns
        -------
        Schedule
        Violation or None
        tuple or None
            The final state, if it came to one.
        """
        scene = self.scene
        scene.restore()
        self._final.state = None
        self._calls.clear()
        self._schedule = schedule = Schedule(
            [self._body(*numbered) for numbered in enumerate(self.program.threads)],
            policy,
            self.program.step_limit,
            scene.translations.observe,
            scene.wrote,
            self.memory,
        )
        scene.translations.start(schedule)
        try:
            with _errors_are_violations(self.strategy):
                schedule.run()
                scene.translations.start(None)
                if not schedule.is_given_up:
                    final = self._final.judge()
                    if self._order:
                        self._order.judge([each(schedule) for each in self._calls], final)
        except Violation as violation:
            return schedule, violation, self._final.state
        finally:
            scene.translations.start(None)
        return schedule, None, self._final.state

    def _body(self, number, actor):
        def body(thread):
            if actor.is_guest:
                enter_guest(self.scene.machine, number)
            for k, action in enumerate(actor.actions):
                thread.action = action.label
                stamp, began = 0x100 * (number + 1) + k, len(self._schedule.steps)
                if k and self._order:
                    self.scene.look_who_ended(number)
                came = action.run(self.scene, number, U64(stamp))
                if self._order:
                    self.scene.end(number, k)
                    self._calls.append(self._call(thread, action, stamp, came, began))
            if actor.is_guest:
                leave_guest(self.scene.machine, number)

        return body

    def _call(self, thread, action, stamp, came, began):
        """Return a function that makes the Call of an operation that has ended, when all have.

        Its last step is that at which its last store leaves the buffer.
        """
        ended, waiting = len(self._schedule.steps), thread.waiting

        def call(schedule):
            steps = schedule.steps
            first = steps.index(thread.number, began)
            last = ended - 1
            for _ in range(waiting):
                last = steps.index(thread.buffer.number, last + 1)
            return Call(thread.number, action, stamp, came, first, last)

        return call


def explore(
    program,
    strategy,
    bound=None,
    defect=None,
    *,
    memory="sc",
    prune=True,
    states=False,
    limit=None,
):
    """Run a program under all schedules up to a bound on preemptions, or until one fails.

    Parameters
    ----------
    program : Program
    strategy : str
        Name of a tracker.
    bound : int, optional
        Preemptions; by default the program's.
    defect : Defect, optional
        Switched on meanwhile.
    memory : {"sc", "tso"}
        Sequentially consistent, or with a store buffer for each thread.
    prune : bool
        False: run equivalent schedules, too.
    states : bool
        Collect the final states, and go on after a failure.
    limit : int, optional
        Schedules to run at most.

    Returns
    -------
    Result
    """
    bound = program.bound if bound is None else bound
    result = Result(program.name, strategy, len(program.threads), bound)
    result.defect, result.memory = defect.name if defect else None, memory
    try:
        with prepared(program, strategy, defect, memory) as explorer:
            search(explorer.run, result, prune=prune, states=states, limit=limit)
    except Violation as violation:
        result.finding = Finding(violation.kind, violation.text, 0, 0, ())
    return result


@contextmanager
def prepared(program, strategy, defect=None, memory="sc"):
    """Build a program's machine; while the context lasts its defect is in place.

    Raises
    ------
    Violation
        What is done before the first step of all schedules fails.
    """
    with _small_tlbs(), substituted(defect.replaces if defect else ()):
        with alone(), _errors_are_violations(strategy):
            explorer = Explorer(program, strategy, Memory() if memory == "tso" else None)
        scene = explorer.scene
        scene.holders.is_judging = defect is None
        with scene.translations.watching(), scene.guest.watching():
            yield explorer


@contextmanager
def _errors_are_violations(strategy):
    """Make a Violation of what the code of a tracker or of the machine raises."""
    try:
        yield
    except (Violation, InputError):
        raise
    except Exception as error:
        raise Violation("error", told(error, file_of(strategy))) from error


@contextmanager
def _small_tlbs():
    """Give the vCPUs TLBs of a few entries: a flush looks at each where C is kept back."""
    entries = tlb.TLB_ENTRIES
    tlb.TLB_ENTRIES = SMALL_TLB
    try:
        yield
    finally:
        tlb.TLB_ENTRIES = entries


def search(run, result, *, prune=True, states=False, limit=None):
    """Take branch after branch up to the bound of a result, and fill it.

    Parameters
    ----------
    run : callable
        `run(policy)` runs one schedule; it returns the Schedule, a Violation or None, and the final
        state.
    result : Result
    prune, states, limit
        As of `explore`.
    """
    bound = result.bound
    frontier = Frontier(bound, prune)
    while limit is None or result.schedules < limit:
        preemptions, branch = frontier.take()
        if branch is None or preemptions > bound:
            break
        schedule, violation, final = run(Search(frontier, preemptions, branch))
        if schedule.is_given_up:
            result.pruned += 1
            continue
        result.schedules += 1
        result.longest = max(result.longest, len(schedule.steps))
        if states:
            result.states.add((final, violation and violation.kind))
        if violation:
            if result.finding is None and not states:
                bound, limit = preemptions, result.schedules + FURTHER_SCHEDULES
            result.finding = _shorter(result, preemptions, schedule, violation)
    result.pruned += frontier.put_off


def _shorter(result, preemptions, schedule, violation):
    """Return the finding of the failing schedule of the fewest preemptions, then steps, so far."""
    found = result.finding
    if found and (found.preemptions, len(found.steps)) <= (preemptions, len(schedule.steps)):
        return found
    first = found.schedules if found else result.schedules
    return Finding(violation.kind, violation.text, first, preemptions, tuple(schedule.steps))
