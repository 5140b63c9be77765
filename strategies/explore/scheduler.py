"""One schedule of a program: its threads are greenlets, switched before each operation.

Under `NUMBA_DISABLE_JIT=1` the functions of `core/atomics` call `atomics.hook` before they act, so
one step is: the operation, and everything private that the thread does up to its next operation.
What is seen are sequentially consistent interleavings; with `store_buffers`, x86-TSO's.

A thread in `relax()` waits until a word that it read since its last `relax()` was given another
value by another thread: a spin loop whose next turn would be like its last is not run. That is
CHESS's fairness, and makes a waiting thread, not an endless loop, of a lock that is never freed.
"""

from greenlet import getcurrent, greenlet

from strategies.core import atomics


class Violation(Exception):  # noqa: N818 (what the program did wrong, not an error of ours)
    """A property does not hold.

    Parameters
    ----------
    kind : str
        "lost page", "spurious page", "guest's C lost", "guest's R lost", "wrong return code",
        "no such order", "deadlock", "livelock", "broken ring", "lock held", "rule broken",
        "debt not paid", "dead translation" or "error".
    text : str
        One line that says where.
    """

    def __init__(self, kind, text):
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text


class Thread:
    """A thread of a program, stopped before an operation.

    Attributes
    ----------
    number : int
        Its place in the program; `letter` is its name in a schedule: A, B, ...
    operation, words, index
        What it is about to do, as the hook was told; `words` is None in `relax()`.
    key : int
        Identifies the word.
    writes : bool
        The operation may change the word: all but a load, a compare and swap that fails included.
    finished : bool
    action : str
        Which of the program's actions it is in.
    access : Access or None
        The guest's load or store that is under way.
    buffer : StoreBuffer or None
        Where its stores wait.
    owner : Thread or None
        Of a buffer: whose stores wait there.
    """

    buffer = owner = None

    def __init__(self, number):
        self.number = number
        self.letter = chr(ord("A") + number)
        self.finished = False
        self.operation = self.words = self.index = self.key = self.old = None
        self.writes = False
        self.watched = set()
        self.is_stale = False
        self.action = "start"
        self.access = None

    def arrive(self, operation, words, index):
        """Stop before an operation."""
        self.operation = operation
        self.words = words
        self.index = index
        if words is None or self.is_buffered_store:  # nobody else can see it
            self.writes = False
            self.key = None
        else:
            self.writes = operation != "load"
            self.key = words.base + int(index)

    @property
    def is_buffered_store(self):
        """Whether its next operation is a store that a buffer takes."""
        return self.buffer is not None and self.operation == "store"

    @property
    def waiting(self):
        """How many of its stores are not in memory yet."""
        return len(self.buffer) if self.buffer else 0

    @property
    def is_runnable(self):
        """Whether it can do its next operation.

        Not at its end, nor waiting in `relax()`, nor in a read-modify-write for its buffer.
        """
        if self.words is None:
            return self.is_stale and not self.finished
        if self.buffer is not None and self.operation not in ("load", "store"):
            return not self.finished and self.buffer.finished
        return not self.finished

    @property
    def next(self):
        """What goes on when it is not preempted: itself, its buffer, its owner; or None."""
        return next((t for t in (self, self.buffer, self.owner) if t and t.is_runnable), None)

    def depends_on(self, other):
        """Say whether its next operation and that of another thread may not change places."""
        return self.key == other.key and self.key is not None and (self.writes or other.writes)


class Schedule:
    """Runs the threads of a program once.

    Parameters
    ----------
    bodies : sequence of callable
        What each thread does; called with its `Thread`.
    policy
        `choose(schedule)` returns the thread that goes on, or None to give up;
        `observe(schedule, thread)` is called before each step.
    step_limit : int
        A schedule of more steps is a livelock.
    before_step, after_write : callable
        Called with the thread before each of its steps, and after it changed a word.
    memory : Memory, optional
        With it each thread has a store buffer.

    Attributes
    ----------
    threads : dict of int to Thread
        By number, the buffers among them.
    current : Thread or None
        Who made the last step; None before the first.
    steps : list of int
        The number of the thread that made each step.
    is_given_up : bool
    """

    def __init__(self, bodies, policy, step_limit, before_step, after_write, memory=None):
        threads = [Thread(number) for number in range(len(bodies))]
        buffers = [memory.buffer_of(thread) for thread in threads] if memory else ()
        self.threads = {thread.number: thread for thread in (*threads, *buffers)}
        self.current = None
        self.steps = []
        self._bodies = bodies
        self._policy = policy
        self._step_limit = step_limit
        self._before_step = before_step
        self._after_write = after_write
        self._memory = memory
        self.is_given_up = False

    @property
    def runnable(self):
        """The threads that can make a step."""
        return [thread for thread in self.threads.values() if thread.is_runnable]

    def run(self):
        """Run it to its end, or until the policy gives up.

        Raises
        ------
        Violation
            Deadlock, livelock, or what was found on the way.
        """
        self._main = getcurrent()
        self._carriers = [
            greenlet(self._body(thread, body))
            for thread, body in zip(self.threads.values(), self._bodies, strict=False)
        ]
        try:
            atomics.hook = self._first_operation
            for number, carrier in enumerate(self._carriers):
                self.current = self.threads[number]
                carrier.switch()
            self.current = None
            atomics.hook = self._before_operation
            while (chosen := self._choose()) is not None:
                self._carriers[chosen.number].switch()
                if self.is_given_up:
                    break
        finally:
            atomics.hook = _nothing
            if self._memory:
                self._memory.leave()
            for carrier in self._carriers:
                carrier.throw()

    def _body(self, thread, body):
        def run():
            body(thread)
            self._after_operation(thread)
            thread.finished = True

        return run

    def _first_operation(self, operation, words, index):
        thread = self.current
        thread.arrive(operation, words, index)
        self._main.switch()
        self._step(thread)

    def _before_operation(self, operation, words, index):
        thread = self.current
        self._after_operation(thread)
        thread.arrive(operation, words, index)
        chosen = self._choose()
        if chosen is None:
            self._main.switch()
        elif chosen is not thread:
            self._carriers[chosen.number].switch()
        self._step(thread)

    def _choose(self):
        """Let buffers make the steps that are theirs; return the thread that goes on then.

        None when all have finished or the policy gives up.
        """
        while (chosen := self._policy.choose(self)) is not None:
            self.current = chosen
            if chosen.owner is None:
                return chosen
            self._drain(chosen)
        waiting = [thread for thread in self.threads.values() if not thread.finished]
        self.is_given_up = any(thread.is_runnable for thread in waiting)
        if waiting and not self.is_given_up:
            names = " and ".join(f"{t.letter} in {t.action}" for t in waiting)
            raise Violation("deadlock", f"nobody can go on: {names}")
        return None

    def _drain(self, buffer):
        """Make a step of a buffer."""
        self._memory.leave()
        self._step(buffer)
        buffer.drain()
        self._after_operation(buffer)
        buffer.drained()

    def _step(self, thread):
        """Record the step that a thread is about to make."""
        if len(self.steps) == self._step_limit:
            raise Violation("livelock", f"no end after {self._step_limit} steps")
        self._policy.observe(self, thread)
        self.steps.append(thread.number)
        self._before_step(thread)
        if self._memory:
            self._memory.enter(thread)
        if thread.words is None:
            thread.watched.clear()
            thread.is_stale = False
            return
        if thread.operation != "store":
            thread.watched.add(thread.key)
        if thread.writes:
            thread.old = thread.words[thread.index]

    def _after_operation(self, thread):
        """See what the operation that a thread has made did."""
        if thread.writes and thread.words[thread.index] != thread.old:
            key = thread.key
            for other in self.threads.values():
                if other is not thread and key in other.watched:
                    other.is_stale = True
            self._after_write(thread)


def _nothing(_operation, _words, _index):
    """Do nothing: the hook while no schedule runs."""
