"""Where cells run: Dask, on an embedded cluster of processes or on any other, by the same code.

A sweep keeps few batches in flight, so the scheduler knows few at a time, however many there are,
and what a worker's death takes with it is little.
"""

import logging
import signal
import time
from collections import deque
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import resource_tracker

from strategies.errors import InputError

CONNECT_S = 10
WAIT_S = 5
WITHOUT_WORKERS_S = 120
"""How long a sweep waits while no worker is there."""

COMPILE_S = 900
"""How long a sweep waits until its machines have compiled; after that the cells pay for it."""

PER_THREAD = 2
"""Batches in flight for each thread of a worker: one runs, one is there when it ends."""

LOST = "worker died"
UNLIMITED_MIB = 1 << 30


@contextmanager
def connected(scheduler, jobs):
    """Yield a client of a cluster whose workers are known to count as this process does.

    Parameters
    ----------
    scheduler : str or None
        Address of a scheduler; None: an embedded cluster, gone at the end.
    jobs : int
        Processes of the embedded cluster.

    Raises
    ------
    InputError
        The scheduler does not answer, or a worker lacks the package or has other sources.
    """
    import dask
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    settings = {"distributed.comm.timeouts.connect": f"{CONNECT_S}s"}
    with dask.config.set(settings), _closed_quietly() as opened:
        if scheduler is None:
            with interrupts_kept():  # also by the thread that starts workers anew
                cluster = LocalCluster(
                    n_workers=jobs,
                    threads_per_worker=1,
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.CRITICAL,
                )
            opened.append(cluster)
            client = Client(cluster)
        else:
            client = _client_of(scheduler)
        opened.append(client)
        _prepare(client)
        yield client


@contextmanager
def interrupts_kept():
    """Have threads and processes that begin here leave an interrupt to the one that begins them."""
    resource_tracker.ensure_running()  # Python's own, which unblocks what is blocked here
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _closed_quietly():
    """Close what was opened, the last first."""
    opened = []
    try:
        yield opened
    finally:
        for one in reversed(opened):
            with suppress(Exception):  # what is gone already
                one.close()


def _client_of(scheduler):
    from distributed import Client

    try:
        return Client(scheduler, timeout=CONNECT_S)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(
            f"the scheduler {scheduler!r} does not answer ({error or 'timeout'}); accepted: the "
            "address that dask scheduler prints, as in tcp://host:8786"
        ) from error


def _prepare(client):
    """Check the workers, and have each say how much memory it has, now and when one joins."""
    from analysis.fleet.cells import counting_digest
    from analysis.fleet.memory_resource import StateMemory

    try:
        client.wait_for_workers(1, timeout=WITHOUT_WORKERS_S)
    except TimeoutError as error:
        raise InputError(
            f"no worker joined in {WITHOUT_WORKERS_S} s; accepted: a dask worker that has joined"
        ) from error
    for address, found in client.run(version, "dirtylog", on_error="return").items():
        if isinstance(found, PackageNotFoundError):
            raise InputError(f"the worker {address} lacks dirtylog; accepted: pip install it there")
    for address, found in client.run(counting_digest, on_error="return").items():
        if found != counting_digest():
            raise InputError(
                f"the worker {address} has other sources of dirtylog than this process; accepted: "
                f"{version('dirtylog')} with sources {counting_digest()}"
            )
    client.register_plugin(StateMemory())


def threads_of(client):
    """Return how many threads all workers have together."""
    return sum(client.nthreads().values())


def largest_mib(client):
    """Return the memory of the largest worker."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    limits = [worker["memory_limit"] >> 20 or UNLIMITED_MIB for worker in workers]
    return max(limits, default=UNLIMITED_MIB)


def on_each_machine(client, function, *arguments):
    """Run a function on one worker of each machine, at once, and wait until all have ended.

    Whatever goes wrong there the cells would meet again, with a row to tell it.
    """
    from distributed import wait

    workers = client.scheduler_info(n_workers=-1)["workers"]
    chosen = {worker["host"]: address for address, worker in workers.items()}
    # Of one machine any worker will do: one that was named and dies may never be replaced.
    named = [[one] for one in chosen.values()] if len(chosen) > 1 else [None] * len(chosen)
    futures = [
        client.submit(function, *arguments, workers=one, allow_other_workers=bool(one), pure=False)
        for one in named
    ]
    with suppress(TimeoutError):
        wait(futures, timeout=COMPILE_S)
    client.cancel(futures)


def stream(client, function, batches, **arguments):
    """Run batches on the workers and yield what comes of each, in the order in which they end.

    A batch whose worker died (and Dask gave it up: by default that was the fourth time) is tried
    again cell by cell.

    Parameters
    ----------
    client : distributed.Client
    function : callable
        From a batch's works and `arguments` to a list of rows.
    batches : iterable of Batch

    Yields
    ------
    tuple of (Batch, list or str)
        The rows, or for a batch of one cell the reason why there are none.

    Raises
    ------
    InputError
        The scheduler is gone, or no worker came back.
    """
    queue, running = deque(batches), {}
    most, asked, alive = 0, 0.0, time.monotonic()
    largest = largest_mib(client)
    try:
        while queue or running:
            if time.monotonic() > asked + WAIT_S:
                most, asked = PER_THREAD * threads_of(client), time.monotonic()
                alive = asked if most else alive
                if asked > alive + WITHOUT_WORKERS_S:
                    raise InputError("no worker is left; the same command goes on")
            while queue and len(running) < max(most, 1):
                batch = queue.popleft()
                if batch.mib > largest and len(batch.cells) > 1:
                    queue.extendleft(reversed(batch.alone()))
                elif batch.mib > largest:
                    yield batch, f"needs {batch.mib} MiB, the largest worker has {largest} MiB"
                else:
                    running[_submit(client, function, batch, arguments)] = batch
            ended = _ended(running)
            for future in ended:
                batch, result = running.pop(future), _result(future)
                if isinstance(result, str) and len(batch.cells) > 1:
                    queue.extend(batch.alone())
                else:
                    yield batch, result
            if not ended:
                queue.extend(running.pop(future) for future in _stranded(client, running))
    finally:
        with suppress(Exception):
            client.cancel(list(running))


def _submit(client, function, batch, arguments):
    return client.submit(
        function, batch.works, pure=False, resources={"MiB": batch.mib}, **arguments
    )


def _ended(running):
    """Return futures that have ended; none if none did for a while."""
    from distributed import wait

    if not running:
        return []
    try:
        return wait(list(running), timeout=WAIT_S, return_when="FIRST_COMPLETED").done
    except TimeoutError:
        return []


def _stranded(client, running):
    """Return futures that no worker has: Dask does not look at them again.

    That happens when the last worker died and the next one had not yet said what memory it has.
    """
    held = {key for keys in client.processing().values() for key in keys}
    stranded = [future for future in running if future.key not in held and not future.done()]
    client.cancel(stranded)
    return stranded


def _result(future):
    """Return a batch's rows, or in a line why there are none."""
    from distributed import CancelledError, KilledWorker

    try:
        return future.result()
    except KilledWorker:
        return LOST
    except CancelledError as error:
        raise InputError(
            "the scheduler is gone; what was finished is kept: the same command goes on"
        ) from error
    except Exception as error:
        return " ".join(f"{type(error).__name__}: {error}".split())
