"""Trace files: real recordings with damage, archives whose members are not what they should be."""

import io
import json
import zipfile
from importlib import resources

import numpy as np
import pytest
from fuzzing import file_of, fuzz, refusal_of
from hypothesis import strategies as st
from mutation import changed, changes, damaged, damages, junk

from strategies.workloads.trace import bundled, load_trace

META = {"name": "toy", "page_size": 4096, "slot_pages": 100, "epoch_ms": 10.0, "epochs": 3}
ARRAYS = {
    "offsets": np.array([0, 2, 2, 5], np.int64),
    "gfns": np.array([3, 99, 0, 3, 4], np.uint32),
    "stores": np.array([1, 2, 3, 4, 5], np.uint32),
    "read_offsets": np.array([0, 1, 3, 4], np.int64),
    "read_gfns": np.array([4, 3, 4, 5], np.uint32),
}
METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]


def npy(array):
    """An array as a member of an archive."""
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=True)
    return file.getvalue()


def headed(descr, shape, data=b"", order=False):
    """A member whose header says what it likes."""
    file = io.BytesIO()
    header = {"descr": descr, "fortran_order": order, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + data


def archive(members, method=zipfile.ZIP_STORED):
    """An archive of (name, bytes), with sizes and checksums that are right."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as zipped:
        for name, content in members:
            zipped.writestr(f"{name}.npy", content)
    return file.getvalue()


MEMBERS = {
    name: npy(array) for name, array in (ARRAYS | {"meta": np.array(json.dumps(META))}).items()
}
TOY = archive(MEMBERS.items())
RECORDINGS = {
    name: (resources.files("strategies.workloads") / "recordings" / f"{name}.npz").read_bytes()
    for name in bundled()
}
# The long ones take 10 ms each to be read.
BASES = [TOY, archive(MEMBERS.items(), zipfile.ZIP_DEFLATED)] * 8
BASES += [RECORDINGS["vga_desktop"]] * 8 + list(RECORDINGS.values())


def load(path):
    """Do with a trace what the commands do before a machine is built."""
    load_trace(path).coarsen(16)


def judge_file(content):
    """Load a file and judge what comes of it."""
    with file_of(content, "input.npz") as path:
        message = refusal_of(lambda: load(path))
        assert message is None or str(path) in message
        assert path.read_bytes() == content
    return message


@fuzz("damaged archives", st.sampled_from(BASES), damages)
def test_a_damaged_recording(base, damage):
    judge_file(damaged(base, damage))


@fuzz("damaged members", st.sampled_from(list(MEMBERS)), damages, st.sampled_from(METHODS))
def test_a_damaged_member_under_a_right_checksum(name, damage, method):
    judge_file(archive((MEMBERS | {name: damaged(MEMBERS[name], damage)}).items(), method))


@fuzz("files of random bytes", st.binary(max_size=300), st.booleans())
def test_random_bytes(content, has_magic):
    assert judge_file(b"PK\x03\x04" * has_magic + content)


dtypes = st.sampled_from(["<i8", ">i8", "<u4", "<f8", "<U4", "<U0", "|S0", "|V0", "|V9", "|O"])
sizes = st.sampled_from([0, 1, 3, 4, 5, -1, 2**31, 2**40, 10**12, 10**30])
shapes = st.lists(sizes, max_size=3).map(tuple)
values = st.sampled_from([0, 1, 2, 3, 4, 5, 99, 100, 2**31, 2**32 - 1, -1, -(2**63), 2**63 - 1])
integers = st.tuples(
    st.lists(values, max_size=6),
    st.sampled_from([np.int64, np.uint32, np.uint8, ">i8", np.float32]),
).map(lambda drawn: npy(np.array(drawn[0], object).astype(np.int64).astype(drawn[1])))
objects = st.sampled_from([npy(np.array([1, None, {}], object)), npy(np.zeros((2, 3), "u4,u8"))])
metas = st.one_of(
    changes.map(lambda edits: json.dumps(changed(META, edits))),
    junk.map(json.dumps),
    st.text(st.characters(exclude_characters="\0"), max_size=30),
).map(lambda text: npy(np.array(text.encode("utf-8", "replace").decode())))
headers = st.tuples(dtypes, shapes, st.binary(max_size=40), st.booleans()).map(
    lambda drawn: headed(*drawn)
)
members = st.one_of(
    integers, integers, metas, headers, objects, st.sampled_from(list(MEMBERS.values()))
)
edits = st.lists(
    st.tuples(st.sampled_from([*MEMBERS, "extra"]), st.one_of(st.none(), members)),
    min_size=1,
    max_size=3,
)


@fuzz("wrong members", edits, st.sampled_from(METHODS), st.booleans())
def test_an_archive_with_wrong_members(edits, method, twice):
    """Members are replaced, swapped, left out, added, and sometimes there twice."""
    content = dict(MEMBERS)
    for name, member in edits:
        if member is None:
            content.pop(name, None)
        else:
            content[name] = member
    first = [("gfns.npy", MEMBERS["gfns"])] if twice else []  # read_arrays drops the suffix
    judge_file(archive([*first, *content.items()], method))


# What was found, and bombs

HUGE = {
    "of empty texts": headed("<U0", (10**9,)),
    "of empty bytes": headed("|S0", (10**9,)),
    "of nothing": headed("|V0", (10**12,)),
    "without columns": headed("<i8", (10**12, 0)),
    "of negative shape": headed("<i8", (-2, -2), bytes(32)),
    "beyond an address": headed("<i8", (2**62, 4)),
}


@pytest.mark.parametrize("member", HUGE.values(), ids=HUGE)
def test_a_huge_array_that_takes_no_room_in_the_file_is_refused(member):
    for name in ("gfns", "meta"):
        assert judge_file(archive((MEMBERS | {name: member}).items()))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bomb_of_64_mib_is_refused_in_time(method):
    assert judge_file(
        archive((MEMBERS | {"gfns": npy(np.zeros(1 << 24, np.uint32))}).items(), method)
    )
