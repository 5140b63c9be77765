"""The command `dirtylog litmus`: the tests as files, or what Arm's model says of each."""

from pathlib import Path

import click

from strategies.errors import InputError
from strategies.litmus import faults, herd, logs, machine, scans
from strategies.terminal import echo_columns

TESTS = [*scans.TESTS, *faults.TESTS, *logs.TESTS, *machine.TESTS]
COLUMNS = ("test", "strategy", "loses a page", "lost", "other", "explorer")
SCOPE = (
    "Judged is the order of a tracker's steps, each step one instruction or a few, on arm64's own "
    "page table. Not judged: POWER's tlbie, x86, and the code itself."
)


def explorer_says(test):
    """Return what the explorer finds of the same order, in one or two words and a name."""
    if test.defect:
        return f"found: {test.defect}"
    return "cannot say" if test.why else "0 findings"


def run_litmus(out, is_run):
    """Do what the command line asks for.

    Parameters
    ----------
    out : str or None
        Folder to which the tests are written.
    is_run : bool
        Let herd7 judge, and compare with the recorded verdicts.

    Returns
    -------
    int
        0; or 1: herd7 judges otherwise than it is recorded.
    """
    if out == "":
        raise InputError("--out is empty; accepted: a folder, new or old")
    if out is not None and is_run:
        raise InputError("--out and --run were both given; accepted: one of them")
    if out is not None:
        return _write(Path(out))
    version, verdicts = herd.recorded()
    if not is_run:
        _show(verdicts, f"recorded, by {version}")
        return 0
    judged = herd.judge(TESTS)
    _show(judged, f"by {herd.version()}")
    different = [name for name, verdict in judged.items() if verdict != verdicts.get(name)]
    for name in different:
        click.echo(f"not as recorded: {judged[name].line(name)}")
    return int(bool(different))


def _write(folder):
    folder.mkdir(parents=True, exist_ok=True)
    click.echo(f"{len(herd.write(TESTS, folder))} tests written to {folder}")
    return 0


def _show(verdicts, judge):
    """Print the verdicts beside the explorer's, and why where they differ."""
    rows = [(test.name, test.tracker, *verdicts[test.name], explorer_says(test)) for test in TESTS]
    echo_columns([COLUMNS, *rows])
    click.echo()
    echo_columns([(test.name, test.why) for test in TESTS if test.why])
    words = [verdicts[test.name].word for test in TESTS]
    never = words.count("Never")
    click.echo(f"\n{len(words)} tests, {judge}: {never} lose nothing, {len(words) - never} a page.")
    click.echo(SCOPE)
