"""Cost profiles: the bundled ones after edits of their fields, their lines and their bytes."""

import json
import tomllib
from importlib import resources
from math import isfinite
from pathlib import Path

import pytest
from fuzzing import file_of, fuzz, judge, refusal_of
from hypothesis import strategies as st
from mutation import changed, changes, damaged, damages, places

from analysis.model.profile import bundled, load_profile
from strategies.registry import choices

TEXTS = {
    name: (resources.files("analysis.model") / "profiles" / f"{name}.toml").read_text(
        encoding="utf-8"
    )
    for name in bundled()
}
TABLES = {name: tomllib.loads(text) for name, text in TEXTS.items()}
ADVISE = ["advise", "--slot", "1GiB", "--density", "1%", "--interval", "10ms"]
bases = st.sampled_from(bundled())


def toml_value(value):
    """A value in TOML, which has no null."""
    if isinstance(value, dict):
        items = (f"{json.dumps(key)} = {toml_value(each)}" for key, each in value.items())
        return f"{{{', '.join(items)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return json.dumps("" if value is None else value, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml(document):
    """A document in TOML, its tables in line."""
    lines = (f"{json.dumps(key)} = {toml_value(value)}" for key, value in document.items())
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def judge_profile(content):
    """Load a profile; if it is accepted, its numbers are numbers."""
    loaded = []
    with file_of(content, "mine.toml") as path:
        message = refusal_of(lambda: loaded.append(load_profile(path)))
        assert message is None or str(path) in message
    for constant in (c for profile in loaded for c in profile.constants.values()):
        assert 0 <= constant.low <= constant.value <= constant.high < float("inf")
    return message


def judge_advice(content):
    """Ask for advice from a profile: what is accepted is printed as JSON that others read."""
    with file_of(content, "mine.toml") as path:
        argv = [*ADVISE, "--profile", path.name, "--format", "json"]
        status, out = judge(argv, path.parent)
        if status == 0:
            json.loads(out, parse_constant=pytest.fail)


@fuzz("mutated profiles", bases, changes)
def test_a_profile_with_edited_fields(name, edits):
    judge_profile(toml(changed(TABLES[name], edits)))


lines = st.lists(
    st.tuples(st.sampled_from(["drop", "repeat", "swap"]), places, places), min_size=1, max_size=4
)


def with_edited_lines(text, edits):
    rows = text.splitlines()
    for what, first, second in edits:
        first, second = first % len(rows), second % len(rows)
        if what == "drop":
            del rows[first]
        elif what == "repeat":
            rows.insert(second, rows[first])
        else:
            rows[first], rows[second] = rows[second], rows[first]
    return "\n".join(rows).encode()


@fuzz("damaged profiles", bases, lines, st.none() | damages)
def test_a_profile_with_edited_lines_and_bytes(name, edits, damage):
    content = with_edited_lines(TEXTS[name], edits)
    judge_profile(damaged(content, damage) if damage else content)


positive = st.floats(0, allow_infinity=True, allow_nan=False) | st.sampled_from([10**12, 10**400])
values = st.dictionaries(st.sampled_from(list(TABLES["power8"]["constants"])), positive, max_size=4)
strategies = st.sampled_from(["c_bit_scan", "write_protect", "pte_flush", "none"])
reasons = st.dictionaries(strategies, st.just("no such bit"), max_size=4)


@fuzz("advice from mutated profiles", bases, values, reasons)
def test_advice_from_a_profile_with_edited_values(name, edits, unavailable):
    document = changed(TABLES[name], ())
    document["unavailable"] = unavailable
    for constant, value in edits.items():
        document["constants"][constant] |= dict.fromkeys(("low", "value", "high"), value)
    judge_advice(toml(document))


# What was found

HEAD = TEXTS["x86-kvm"]
FOUND = {
    "a number beyond a float": HEAD.replace("value = ", f"value = {10**400} # ", 1),
    "a number of 5000 digits": HEAD.replace("value = ", f"value = {'9' * 5000} # ", 1),
    "nested without end": HEAD + "x = " + "[" * 100_000,
    "tables without end": HEAD + "x = " + "{a = " * 50_000,
    "nothing available": HEAD + "[unavailable]\n" + "".join(f"{n} = 'no'\n" for n in choices()),
    "not in UTF-8": 'title = "\udcff"',
}


@pytest.mark.parametrize("text", FOUND.values(), ids=FOUND)
def test_what_was_once_a_traceback_is_refused(tmp_path, text):
    Path(tmp_path, "mine.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    judge([*ADVISE, "--profile", "mine.toml"], tmp_path, accepted=(2,))
