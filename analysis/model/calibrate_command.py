"""The command `dirtylog calibrate`."""

import platform
import time
from datetime import date
from pathlib import Path

import click

from strategies.errors import InputError
from strategies.options import check_new_file, given_options
from strategies.units import DURATION, SIZE, number

REPETITIONS, LEAST_ROUNDS = 2, 3
TOO_NOISY = 1
"""Exit status where no profile is written."""


@click.command()
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default="my-host.toml",
    show_default=True,
)
@click.option("--budget", type=DURATION, default="3min", show_default=True, help="About so long.")
@click.option("--base", default="x86-kvm", show_default=True, help="Gives what no lane can tell.")
@click.option(
    "--perf-test",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Take what this output of the kernel's dirty_log_perf_test tells; measure nothing.",
)
@click.option("--slot", type=SIZE, help="Memory of that test, if its output does not tell.")
@click.option("--vcpus", type=click.IntRange(1, 4096), help="Of that test.  [default: 1]")
@click.option("--force", is_flag=True, help="Replace the file; write it on a noisy machine too.")
def calibrate(out, budget, base, perf_test, slot, vcpus, force):
    """Measure unit costs through this machine's kernel, and write a profile for --profile.

    Exit status 1, and no file: the machine was too noisy to trust.
    """
    from analysis.model.profile import bundled

    if base not in bundled():
        raise InputError(f"no profile {base!r}; accepted: {', '.join(bundled())}")
    check_new_file(out, force)
    if not perf_test and (slot or vcpus):
        raise InputError("--slot and --vcpus are of a --perf-test; accepted: with one")
    if perf_test and "--budget" in given_options():
        raise InputError("--perf-test measures nothing; accepted: it or --budget, not both")
    if perf_test:
        measured = _of_perf_test(perf_test, slot, vcpus or 1)
        title, source = f"as {perf_test.name} tells", f"dirty_log_perf_test's {perf_test.name}"
        return _write(out, measured, base, title, source)
    from analysis.model.calibrate import MOST_NOISE
    from analysis.model.full_speed import LEAST_SEEN, undisturbed

    samples, seen = undisturbed(_samples(budget / 1e9))
    measured, by_lane, noises, error = _costs(samples)
    noisiest = max(noises.values())
    click.echo(
        f"a cell was harvested while the CPU was at full speed in {seen:.1f} rounds (mean); only "
        f"such times count; trusted from {LEAST_SEEN}"
    )
    click.echo(
        f"repetitions deviate by {noisiest:.1%} (median, the noisiest lane); trusted up to "
        f"{MOST_NOISE:.0%}; the fits' median error is {error:.1%}"
    )
    if (noisiest > MOST_NOISE or seen < LEAST_SEEN) and not force:
        click.echo("dirtylog: too noisy: no profile written; --force writes it", err=True)
        return TOO_NOISY
    return _write(out, measured, base, _title(), _source(samples, seen, noises), by_lane)


def _of_perf_test(path, slot, vcpus):
    from analysis.model.perf_test import PAGE_BYTES, constants, read_perf_test

    phases, nbytes = read_perf_test(path)
    if not (nbytes or slot):
        raise InputError(f"{str(path)!r} does not tell the memory; accepted: with --slot")
    return constants(phases, (slot or nbytes) / PAGE_BYTES, vcpus)


def _write(out, measured, base, title, source, by_lane=None):
    from analysis.model.calibrate import profile_text
    from analysis.model.profile import read_profile
    from strategies.files import completed

    names = {"base": base, "name": out.stem, "title": title, "source": source}
    text = profile_text(measured, by_lane or {}, **names)
    read_profile(text)  # what would be refused later is refused now
    with completed(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    for name, one in measured.items():
        value, low, high = map(number, (one.value, one.low, one.high))
        click.echo(f"{name:<11} {value:>7} ns ({low} to {high}), measured")
    click.echo(f"wrote {click.format_filename(out)}; all other constants are transferred: {base}")
    return 0


def _samples(budget_s):
    """Return by lane the samples of its rounds: what the budget holds, LEAST_ROUNDS at least.

    Processes differ more than visits in one do, and those more than repetitions (METHODOLOGY): so
    each round has its own process, in which what takes long to write is visited once.
    """
    from analysis.model.calibrate import cell_samples
    from analysis.model.full_speed import patience_after
    from analysis.model.lanes import LANE_TERMS
    from strategies.lanes.cells import FITTED, SPARSE
    from strategies.lanes.session import choose

    slots = {4: FITTED * 2, 128: FITTED + SPARSE, 1024: SPARSE * 2}
    begin = time.monotonic()
    lanes = [name for name in choose(["all"])[0] if name in LANE_TERMS]
    if not lanes:
        raise InputError(f"none of {', '.join(LANE_TERMS)} is available: see `dirtylog lanes`")
    samples, rounds = {lane: [] for lane in lanes}, 0
    while rounds < LEAST_ROUNDS or (time.monotonic() - begin) * (1 + 1 / rounds) < budget_s:
        how = {"seed": 10_000 * rounds, "is_steady": True}
        how |= {"patience": patience_after(samples, begin + budget_s, REPETITIONS + 1)}
        for lane, of_lane in samples.items():
            of_lane.append(cell_samples(lane, slots, REPETITIONS, **how))
        rounds += 1
    return samples


def _costs(samples):
    """Return the profile's constants, the lanes', the noise of each lane, and the worst fit."""
    from analysis.model import calibrate as model
    from analysis.model.lanes import cached_pages

    cached = cached_pages()
    measured, by_lane, noises, errors = {}, {}, {}, []
    for lane, rounds in samples.items():
        by_lane[lane], constants, error = model.costs_of_rounds(lane, rounds, cached)
        noises[lane] = model.noise(rounds)
        measured |= constants
        errors.append(error)
    return measured, by_lane, noises, max(errors)


def _title():
    from strategies.replay.output import cpu_model

    return f"{cpu_model()}, measured {date.today().isoformat()}"


def _source(samples, seen, noises):
    from strategies.lanes.kvm import backend
    from strategies.replay.output import cpu_model

    rounds = len(next(iter(samples.values())))
    spread = ", ".join(f"{lane} {noise:.1%}" for lane, noise in noises.items())
    return (
        f"dirtylog calibrate, {rounds} rounds of 1 or 2 visits, {REPETITIONS} repetitions each, "
        f"slots of 4 MiB to 1 GiB; a cell at full speed of the CPU in {seen:.1f} rounds, "
        f"{date.today().isoformat()}; {cpu_model()}, "
        f"Linux {platform.release()}, KVM by {backend()}; repetitions deviate by {spread}"
    )
