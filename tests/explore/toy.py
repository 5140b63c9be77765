"""Tiny programs on a few words, drawn at random: what pruning must not lose."""

import random

from strategies.core import atomics
from strategies.core.words import U64
from strategies.explore.explorer import Result, search
from strategies.explore.scheduler import Schedule, Violation
from strategies.explore.store_buffers import Memory, words_through
from strategies.explore.words import Words

WORDS = 3


def draw(seed, threads):
    """Threads as tuples of (operation, word)."""
    rng = random.Random(seed)
    operations = ("load", "load", "store", "add", "wait", "relay")
    lengths = {2: (2, 5), 3: (1, 3), 4: (1, 2)}[threads]
    return [
        [(rng.choice(operations), rng.randrange(WORDS)) for _ in range(rng.randint(*lengths))]
        for _ in range(threads)
    ]


class Toy:
    """A toy program; its final state is its words and all that its threads read."""

    def __init__(self, threads, memory="sc"):
        self.threads = threads
        self.memory = Memory() if memory == "tso" else None

    def run(self, policy):
        words = (words_through(self.memory) if self.memory else Words)("toy", 0)
        read = [[] for _ in self.threads]
        bodies = [
            lambda _thread, actions=actions, seen=seen: act(words, actions, seen)
            for actions, seen in zip(self.threads, read, strict=True)
        ]
        nothing = lambda thread: None  # noqa: E731
        schedule = Schedule(bodies, policy, 300, nothing, nothing, self.memory)
        violation = None
        try:
            schedule.run()
        except Violation as found:
            violation = found
        return schedule, violation, (words.content(), tuple(map(tuple, read)))

    def explore(self, bound, prune):
        result = Result("toy", "-", len(self.threads), bound)
        search(self.run, result, prune=prune, states=True)
        return result


def act(words, actions, seen):
    for number, (operation, word) in enumerate(actions):
        if operation == "load":
            seen.append(int(atomics.load(words, word)))
        elif operation == "store":
            atomics.store(words, word, U64(10 * len(seen) + number))
        elif operation == "own":
            atomics.store_own(words, word, U64(100))
        elif operation == "add":
            seen.append(int(atomics.fetch_add(words, word, U64(1))))
        elif operation == "relay":
            atomics.store(words, (word + 1) % WORDS, atomics.load(words, word))
        elif operation == "quarrel":
            while True:
                atomics.fetch_add(words, word, U64(1))
                atomics.relax(0)
        else:
            spins = 0
            while not atomics.load(words, word):
                spins = atomics.relax(spins)
