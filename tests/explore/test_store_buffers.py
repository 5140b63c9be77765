"""Store buffers allow what x86-TSO allows, and nothing else."""

import pytest
from toy import WORDS, Toy, draw

HIGH = 9
"""A bound above which nothing new comes."""


def reads(threads, memory, bound=HIGH):
    return {state[1] for state, _ in Toy(threads, memory).explore(bound, True).states}


def allowed(threads):
    """All (words, reads) that x86-TSO allows: every way through its abstract machine."""
    places = tuple((0, (), ()) for _ in threads)  # next action, buffer, what was read
    seen, waiting, final = set(), [((0,) * WORDS, places)], set()
    while waiting:
        state = waiting.pop()
        if state in seen:
            continue
        seen.add(state)
        following = [new for k in range(len(threads)) for new in steps(threads, state, k)]
        waiting += following
        if not following:
            words, places = state
            kept = frozenset((i, value) for i, value in enumerate(words) if value)
            final.add((kept, tuple(read for _, _, read in places)))
    return final


def steps(threads, state, k):
    """The states after a step of thread k or of its buffer."""
    words, places = state
    at, buffer, read = places[k]

    def then(words, *place):
        return words, (*places[:k], place, *places[k + 1 :])

    if buffer:
        (word, value), *rest = buffer
        yield then((*words[:word], value, *words[word + 1 :]), at, tuple(rest), read)
    if at == len(threads[k]):
        return
    operation, word = threads[k][at]
    newest = next((value for w, value in reversed(buffer) if w == word), words[word])
    if operation == "load":
        yield then(words, at + 1, buffer, (*read, newest))
    elif operation == "store":
        yield then(words, at + 1, (*buffer, (word, 10 * len(read) + at)), read)
    elif operation == "add" and not buffer:
        yield then(
            (*words[:word], words[word] + 1, *words[word + 1 :]), at + 1, (), (*read, newest)
        )


BUFFERING = [[("load", 2), ("store", 0), ("load", 1)], [("load", 2), ("store", 1), ("load", 0)]]
FENCED = [[("load", 2), ("add", 0), ("load", 1)], [("load", 2), ("add", 1), ("load", 0)]]
MESSAGE = [[("load", 2), ("store", 0), ("store", 1)], [("load", 1), ("load", 0)]]


def test_two_stores_wait_while_each_thread_reads_the_old_value():
    both_old = ((0, 0), (0, 0))
    assert both_old in reads(BUFFERING, "tso", bound=1)
    assert both_old not in reads(BUFFERING, "sc")


def test_a_read_modify_write_waits_for_the_buffer():
    assert ((0, 0, 0), (0, 0, 0)) not in reads(FENCED, "tso")


def test_stores_reach_memory_in_order():
    seen = {second for _, second in reads(MESSAGE, "tso")}
    assert seen == {(0, 0), (0, 11), (12, 11)}


def test_a_plain_store_passes_no_store_to_its_word():
    """Nor does it wait where none waits before it, for nobody else looks."""
    threads = [[("store", 0), ("own", 0), ("own", 1)], [("load", 2)]]
    ends = {words for (words, _), _ in Toy(threads, "tso").explore(HIGH, True).states}
    assert ends == {frozenset({(0, 100), (1, 100)})}


@pytest.mark.parametrize("seed", range(40))
def test_drawn_programs_end_as_the_abstract_machine_does(seed):
    threads = [
        [action for action in thread if action[0] in ("load", "store", "add")]
        for thread in draw(seed, 2)
    ]
    found = {state for state, _ in Toy(threads, "tso").explore(HIGH, True).states}
    assert found == allowed(threads)
