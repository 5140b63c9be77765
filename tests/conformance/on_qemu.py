"""Runs commands in QEMU: a pseries guest under TCG that shares its memory with us as a file."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from commands import NHPTES, RAM_BYTES, WORDS, segments

PROGRAM = "qemu-system-ppc64"
MISSING = f"needs {PROGRAM}: apt-get install qemu-system-ppc"
GUEST = Path(__file__).with_name("guest.hex")
TIMEOUT_S = 60

# As in guest.S.
COMMANDS, DUMP, FINISHED, RESULTS = 0x01000000, 0x03000000, 0x03F00000, 0x04000000
SECOND = 0x01000000
"""As far behind the first vCPU's are the second one's commands and results."""

MAX_COMMANDS = SECOND // (8 * WORDS) - len(segments()) - 1

MACHINE = (
    "pseries,memory-backend=ram,cap-hpt-max-page-size=16M,"
    "cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off"
)


def is_installed():
    """Say whether QEMU is there."""
    return shutil.which(PROGRAM) is not None


def version():
    """Return QEMU's own words on its version."""
    done = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


def _start(folder, ram, vcpus):
    """Run QEMU, with a thread for each vCPU, until the guest powers it off."""
    blob = folder / "guest.bin"
    blob.write_bytes(bytes.fromhex(GUEST.read_text()))
    command = [PROGRAM, "-accel", "tcg,thread=multi", "-smp", str(vcpus), "-cpu", "power8"]
    command += ["-nodefaults", "-display", "none"]
    command += ["-M", MACHINE, "-m", f"{RAM_BYTES >> 20}M", "-bios", str(blob)]
    command += ["-object", f"memory-backend-file,id=ram,size={RAM_BYTES},mem-path={ram},share=on"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{PROGRAM} did not end within {TIMEOUT_S} s") from None
    if done.returncode:
        raise RuntimeError(f"{PROGRAM} failed: {done.stderr.strip()}")


def run(*lists):
    """Run one or two lists of at most MAX_COMMANDS commands in a new guest, a vCPU for each.

    Returns
    -------
    results : list of uint64[n, 9]
        r3 to r11 after each command of each list.
    hpt : uint64[NHPTES, 2]
        The HPT after the last one.
    """
    scripts = [np.vstack([segments(), commands]) for commands in lists]
    with tempfile.TemporaryDirectory(prefix="dirtylog-") as name:
        ram = Path(name) / "ram"
        with ram.open("wb") as file:
            file.truncate(RAM_BYTES)
        words = np.memmap(ram, ">u8", "r+")
        for vcpu, script in enumerate(scripts):
            words[(COMMANDS + vcpu * SECOND) // 8 :][: script.size] = script.ravel()
        _start(Path(name), ram, len(lists))
        if (words[FINISHED // 8 :][: len(lists)] != 1).any():
            raise RuntimeError("the guest in QEMU ended before its last command")
        results = [
            words[(RESULTS + vcpu * SECOND) // 8 :][: script.size].astype(np.uint64)
            for vcpu, script in enumerate(scripts)
        ]
        hpt = words[DUMP // 8 :][: 2 * NHPTES].reshape(-1, 2).astype(np.uint64)
    return [each.reshape(-1, WORDS)[len(segments()) :] for each in results], hpt
