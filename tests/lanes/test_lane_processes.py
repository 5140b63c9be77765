"""A lane's process ends when it hangs and with its parent; without the means, one line says so."""

import ctypes
import os
import signal
import struct
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from strategies.lanes import uffd
from strategies.lanes.child import in_child
from strategies.lanes.errors import LaneError, Unavailable
from strategies.lanes.registry import LANES
from strategies.lanes.session import probe_all, reasons
from strategies.lanes.uffd_sync import UffdSync
from strategies.workloads.synthetic import synthesize
from strategies.workloads.trace import save_trace

PROGRAM = Path(sys.executable).with_name("dirtylog")


class Deaf(UffdSync):
    """Its handler never starts: the first store waits for ever."""

    def enable(self):
        uffd.UffdLane.enable(self)


def store_to_a_protected_page(say):
    lane = Deaf(10)
    lane.enable()
    say(os.getpid())
    lane.write(np.arange(10))


def die(_say):
    os.kill(os.getpid(), signal.SIGSEGV)


def refuse(_say):
    raise Unavailable("not today")


def fail(_say):
    raise ZeroDivisionError("a defect")


def test_a_hanging_store_is_ended_and_leaves_no_process():
    heard = []
    try:
        with pytest.raises(LaneError, match="no sign of life for 1 s"):
            in_child(store_to_a_protected_page, hear=heard.append, silence_s=1)
    except Unavailable as reason:
        pytest.skip(str(reason))
    (pid,) = heard
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("target", "error", "saying"),
    [(die, LaneError, "died"), (refuse, Unavailable, "today"), (fail, LaneError, "a defect")],
)
def test_what_went_wrong_arrives(target, error, saying):
    with pytest.raises(error, match=saying):
        in_child(target)


def descendants(pid):
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            found += [int(child), *descendants(int(child))]
    return found


def runs(pid):
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def wait_until(condition):
    end = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left_when_the_command_is_ended(tmp_path, sent):
    path = tmp_path / "long.npz"
    save_trace(synthesize("uniform", slot_pages=1000, density=0.1, epochs=20_000), path)
    command = [PROGRAM, "replay", path, "--strategy", "null", "--lane", "all"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: any(holds_a_lane(pid) for pid in descendants(process.pid)))
        children = descendants(process.pid)
        process.send_signal(sent)
        error = process.communicate(timeout=300)[1]
    wait_until(lambda: not any(map(runs, children)))
    if sent == signal.SIGINT:
        assert process.returncode == 130
        assert error.splitlines()[-1] == "dirtylog: interrupted"


def holds_a_lane(pid):
    """Whether a process has a userfaultfd or a VM: it is in the middle of a lane."""
    try:
        targets = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return False
    return any("userfaultfd" in target or "kvm-vm" in target for target in targets)


# Without the means

ENOSYS, EPERM, EINVAL, ENOTTY = 38, 1, 22, 25
USERFAULTFD, IOCTL = 323, 16
CREATE_VM, PAGEMAP_SCAN, UFFDIO_API = 0xAE01, 0xC0606610, uffd.API


def deny(number, code, request=None):
    """Make a system call of this process, and of what it becomes, fail (seccomp)."""
    load, equal, answer = 0x20, 0x15, 0x06
    allow, errno = 0x7FFF0000, 0x00050000
    program = [(load, 0, 0, 0), (equal, 0, 3 if request else 1, number)]
    if request:
        program += [(load, 0, 0, 24), (equal, 0, 1, request)]
    program += [(answer, 0, 0, errno | code), (answer, 0, 0, allow)]
    code_bytes = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *i) for i in program))
    fprog = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code_bytes))
    libc = ctypes.CDLL(None)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert libc.prctl(22, 2, fprog, 0, 0) == 0  # PR_SET_SECCOMP, by a filter


def probe_without(say, denied):
    deny(*denied)
    probe_all(say, LANES)


usual_lanes = cache(reasons)

UFFD = ("uffd_async", "uffd_sync")
KVM = ("kvm_bitmap", "kvm_manual", "kvm_ring")


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the filter has x86 numbers")
@pytest.mark.parametrize(
    ("denied", "lost", "saying"),
    [
        ((USERFAULTFD, ENOSYS), UFFD, "this kernel has no userfaultfd"),
        ((USERFAULTFD, EPERM), UFFD, "userfaultfd is refused"),
        ((IOCTL, EINVAL, UFFDIO_API), UFFD, "write protection"),
        ((IOCTL, ENOTTY, PAGEMAP_SCAN), UFFD[:1], "no PAGEMAP_SCAN"),
        ((IOCTL, EPERM, CREATE_VM), KVM, "KVM"),
    ],
)
def test_a_kernel_that_lacks_something_loses_those_lanes_alone(denied, lost, saying):
    usual, found = usual_lanes(), []
    in_child(probe_without, denied, hear=found.append)
    without = dict(found)
    for name in LANES:
        if name in lost and usual[name] is None:
            assert saying in without[name]
        else:
            assert without[name] == usual[name]


def probe_as_nobody(say):
    """Probe all lanes, as root first: nobody else may be able to read what Python has to load."""
    probe_all(lambda _: None, LANES)
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: a process may read its own pagemap
    probe_all(say, LANES)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_has_the_lanes_that_need_nothing():
    usual, found = usual_lanes(), []
    in_child(probe_as_nobody, hear=found.append)
    ordinary = dict(found)
    for name in (*UFFD, "plain"):
        assert ordinary[name] == usual[name]
    for name in KVM:
        assert ordinary[name] in ("no /dev/kvm", "no permission to open /dev/kvm")
