"""Run a function in a process of its own, which is ended when it falls silent, and with us.

A store to a protected page can hang its thread for good, and only SIGKILL ends that. What a child
holds (protected mappings, a VM, threads) the kernel takes back with it.
"""

import ctypes
import os
import signal
import traceback
from multiprocessing import get_context

from strategies.errors import InputError
from strategies.lanes.errors import LaneError, Unavailable

SILENCE_S = 120
"""Compiling on a busy machine, or making a large slot resident, must fit."""
SAY_S = 0.1
"""How often a child that has something to say says so."""
PR_SET_PDEATHSIG = 1


def in_child(target, *arguments, hear=lambda _said: None, silence_s=SILENCE_S):
    """Return what `target(say, *arguments)` returns in a new process.

    Parameters
    ----------
    target : callable
        A function of a module. Its `say(value)` calls `hear(value)` here, and is a sign of life.
    silence_s : float
        Seconds without one, after which the child is killed; before the first, SILENCE_S.

    Raises
    ------
    LaneError
        The child hung, died, or failed unexpectedly.
    Unavailable, InputError, OSError, MemoryError
        As the target raised them.
    """
    context = get_context("spawn")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_serve, args=(there, os.getpid(), target, arguments))
    # An interrupt is for the parent alone, who then ends the child.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        child.start()
        there.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return _listen(here, target, hear, silence_s)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if child.pid is not None:
            child.kill()
            child.join()
        here.close()


def _listen(here, target, hear, silence_s):
    limit = SILENCE_S
    while True:
        if not here.poll(limit):
            raise LaneError(f"{target.__name__} gave no sign of life for {limit:g} s: ended")
        limit = silence_s
        try:
            kind, value = here.recv()
        except EOFError:
            raise LaneError(f"the process of {target.__name__} died") from None
        if kind == "returned":
            return value
        if kind == "raised":
            raise value
        hear(value)


def _serve(there, parent, target, arguments):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return  # it went before the kernel was told
    try:
        result = ("returned", target(lambda value: there.send(("said", value)), *arguments))
    except (LaneError, Unavailable, InputError, OSError, MemoryError) as error:
        result = ("raised", error)
    except Exception:
        result = ("raised", LaneError(traceback.format_exc()))
    there.send(result)
