"""Strategies for damage: to bytes as a disk or an editor does it, to documents field by field."""

import copy
import json

from hypothesis import strategies as st

WORDS = [0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF]
places = st.integers(0, 1 << 24)
lengths = st.integers(1, 40)


def _flip(data, at, value):
    data[at] ^= value % 255 + 1


def _word(data, at, value):
    data[at : at + 4] = WORDS[value % len(WORDS)].to_bytes(4, "little")


def _cut(data, at, value):
    del data[at : at + value]


def _end(data, at, value):
    del data[at:]


def _repeat(data, at, value):
    data[at:at] = data[at : at + value]


def _zero(data, at, value):
    data[at : at + value] = bytes(value)


def _insert(data, at, value):
    data[at:at] = bytes([value % 256]) * value


DAMAGES = [_flip, _flip, _flip, _word, _cut, _end, _repeat, _zero, _insert]
damages = st.lists(
    st.tuples(st.sampled_from(DAMAGES), places, st.integers(1, 300)), min_size=1, max_size=4
)


def damaged(content, damage):
    """Return the bytes after some damage; it is done near the end as often as anywhere."""
    data = bytearray(content)
    for change, place, value in damage:
        if data:
            span = min(len(data), 400) if place % 2 else len(data)
            change(data, len(data) - 1 - place // 2 % span, value)
    return bytes(data)


text = st.text(st.characters(exclude_characters="\0"), max_size=20)
numbers = st.one_of(
    st.sampled_from([0, 1, -1, 2, 3.5, 1e-300, 5e-324, 1e12, 1e308, 10**30, 10**400]),
    st.integers(-5, 300),
    st.floats(allow_nan=True, allow_infinity=True),
)
junk = st.one_of(
    numbers,
    st.none(),
    st.booleans(),
    text,
    st.sampled_from(["", "nan", "1", "ns", "\u2028", "$\\frac{$", "__import__('os')", "[" * 300]),
    st.recursive(
        st.one_of(st.none(), st.integers(-3, 3), st.text(max_size=3)),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=2),
        max_leaves=6,
    ),
)


def _nodes(document):
    """Yield (container, key) of every node below the root."""
    for key, value in list(document.items() if isinstance(document, dict) else enumerate(document)):
        yield document, key
        if isinstance(value, dict | list):
            yield from _nodes(value)


changes = st.lists(
    st.tuples(st.sampled_from(["replace", "replace", "delete", "repeat"]), places, junk),
    min_size=1,
    max_size=3,
)


def changed(document, edits):
    """Return a copy of a JSON-like document after some edits of its nodes."""
    document = copy.deepcopy(document)
    for what, place, value in edits:
        nodes = list(_nodes(document))
        if not nodes:
            break
        container, key = nodes[place % len(nodes)]
        if what == "delete":
            del container[key]
        elif what == "repeat" and isinstance(container, list):
            container.insert(key, container[key])
        elif what == "repeat":
            container[f"{key}_"] = container[key]
        else:
            container[key] = value
    return document


def json_bytes(document):
    """Return a document as JSON, as Python's and asv's writers have it: NaN and Infinity too."""
    return json.dumps(document).encode("utf-8", "surrogatepass")
