"""x86-TSO (Owens, Sarkar, Sewell 2009): a store waits in its thread's buffer, then is in memory.

A buffer is one more thread of a schedule, with a small letter: its steps are the stores of its
owner, in their order, and when it makes them is a choice like any other. The owner's loads see what
waits there; a read-modify-write of the owner waits until the buffer is empty. That is all that x86
does to the order of ordinary loads and stores; arm64 and POWER do more.
"""

from collections import deque

from strategies.explore.scheduler import Thread
from strategies.explore.words import Words

SMALL_LETTERS = ord("a") - ord("A")


class StoreBuffer(Thread):
    """The stores of a thread that are not in memory yet.

    Parameters
    ----------
    owner : Thread
    """

    def __init__(self, owner):
        super().__init__(SMALL_LETTERS + owner.number)
        self.owner = owner
        self.action = f"stores of {owner.letter} reach memory"
        self._stores = deque()
        self.finished = True
        owner.buffer = self

    def __len__(self):
        return len(self._stores)

    def __bool__(self):
        return True

    def take(self, words, index, value):
        """Take a store of the owner."""
        self._stores.append((words, index, value, self.owner.access))
        self._aim()

    def newest(self, words, index):
        """Return the value that the owner stored last to a word, or None."""
        for held, place, value, _ in reversed(self._stores):
            if held is words and place == index:
                return value
        return None

    def drain(self):
        """Let the oldest store into memory."""
        words, index, value, _ = self._stores.popleft()
        words.settle(index, value)

    def drained(self):
        """Go on to the next store, once what the last one did is seen."""
        self._aim()

    def _aim(self):
        self.finished = not self._stores
        if self._stores:
            words, index, _, self.access = self._stores[0]
            self.arrive("store", words, index)


class Memory:
    """Whose turn it is to see memory, through which buffer.

    Attributes
    ----------
    buffer : StoreBuffer or None
        Of the thread that runs; None: memory as it is.
    is_store : bool
        The next word that is written is a store that the buffer takes.
    """

    def __init__(self):
        self.leave()

    def buffer_of(self, thread):
        """Return a new buffer for a thread."""
        return StoreBuffer(thread)

    def enter(self, thread):
        """Begin a step of a thread."""
        self.buffer = thread.buffer
        self.is_store = thread.is_buffered_store

    def leave(self):
        """See memory as it is."""
        self.buffer, self.is_store = None, False


class BufferedWords(Words):
    """An array whose words are read and written through the buffer of the thread that runs."""

    memory = None

    def __getitem__(self, index):
        buffer = self.memory.buffer
        value = buffer.newest(self, index) if buffer else None
        return super().__getitem__(index) if value is None else value

    def __setitem__(self, index, value):
        buffer = self.memory.buffer
        if self.memory.is_store:
            self.memory.is_store = False
            buffer.take(self, index, value)
        elif buffer and buffer.newest(self, index) is not None:  # no store passes one to its word
            buffer.take(self, index, value)
        else:
            self.settle(index, value)

    def settle(self, index, value):
        """Write to memory."""
        super().__setitem__(index, value)


def words_through(memory):
    """Return the class of arrays that are seen through a memory."""
    return type("WordsThroughMemory", (BufferedWords,), {"memory": memory})
