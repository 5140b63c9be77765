"""Run the suite in asv, one invocation for each group of benchmarks, with progress.

    python -m benchmarks.study              # at most 20 cells of each tracker, in this environment
    python -m benchmarks.study --full       # the full grid, in an environment that asv makes
    python -m benchmarks.study --full --results results/reference/raw/pass-1      # one of several

What an invocation measured is saved when it ends, so an interrupt or a kill costs the group that
runs; the next call goes on with what is missing for the same code. Exit status: 1 if a cell failed,
2 if asv could not run, 130 after an interrupt.
"""

import argparse
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

from benchmarks.groups import groups_of, patterns
from benchmarks.snapshot import ROOT, identify
from strategies.errors import InputError

STUDY_RESULTS, FULL_RESULTS = ROOT / "results/local/raw", ROOT / "results/local/bench/raw"
POLL_SECONDS = 0.2
STOP_SECONDS = 15
SECONDS_PER_CELL = 1.0
MANAGED_SETUP_SECONDS = 100
"""For the estimate, as measured on two cores."""


def measured_cells(results, commit):
    """Return the cells that have a value for a commit in a folder of asv's results."""
    found = set()
    for path in results.glob(f"*/{commit[:8]}-*.json"):
        file = json.loads(path.read_text())
        for name, columns in file["results"].items():
            row = dict(zip(file["result_columns"], columns, strict=False))
            values = row["result"] or ()
            found |= {
                (name, params, row["version"])
                for params, value in zip(product(*row["params"]), values, strict=False)
                if value is not None and not math.isnan(value)
            }
    return found


def write_config(folder, repo, results):
    """Write asv's configuration for a repository and a results folder; return its path."""
    config = json.loads((ROOT / "asv.conf.json").read_text())
    for key in ("benchmark_dir", "env_dir", "html_dir"):
        config[key] = str(ROOT / config[key])
    config |= {"repo": str(repo), "results_dir": str(results.resolve())}
    path = Path(folder, "asv.conf.json")
    path.write_text(json.dumps(config))
    return path


def asv_command(config, commit, *, is_full):
    """Return the asv command of a group, without its pattern."""
    command = [sys.executable, "-m", "asv", "run", "--config", str(config), "--record-samples"]
    command += ["--launch-method", "forkserver", "--show-stderr", "-a", "rounds=1"]
    if is_full:
        return [*command, f"{commit}^!"]
    return [*command, "-E", "existing", "--set-commit-hash", commit]


def run_asv(command, log, advance):
    """Run asv, its output in a file, telling how many cells have begun; return its exit status.

    An interrupt ends asv and what it started before it goes on.
    """
    with tempfile.NamedTemporaryFile() as progress:
        environment = {**os.environ, "DIRTYLOG_PROGRESS": progress.name}
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            while process.poll() is None:
                time.sleep(POLL_SECONDS)
                advance(Path(progress.name).stat().st_size)
        except BaseException:
            stop(process)
            raise
        return process.returncode


def stop(process):
    """End asv as an interrupt from the keyboard would; if it does not end, kill its session."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def drop_torn(results):
    """Remove each file that is incomplete: what it held is measured again."""
    for path in results.rglob("*.json"):
        try:
            json.loads(path.read_text())
        except ValueError:
            path.unlink()


def publish(stage, results):
    """Bring what asv wrote to the results, each file completely or not at all."""
    from strategies.files import replaced

    for path in stage.rglob("*.json"):
        target = results / path.relative_to(stage)
        target.parent.mkdir(exist_ok=True)
        with replaced(target) as temporary:
            shutil.copy(path, temporary)


def run_groups(console, groups, command, stage, results, commit):
    """Run groups with a progress bar; return the exit status of the whole."""
    from strategies.terminal import progress_bar

    failed = 0
    log_path = ROOT / ".asv" / f"{results.parent.name}.log"
    log_path.parent.mkdir(exist_ok=True)
    with log_path.open("wb") as log, progress_bar(console) as bar:
        task = bar.add_task("", total=sum(len(group.cells) for group in groups))
        done = 0
        for group in groups:
            bar.update(task, description=group.name, completed=done)
            start = time.monotonic()
            status = run_asv(
                [*command, "--bench", group.pattern],
                log,
                lambda n, done=done: bar.update(task, completed=done + n),
            )
            if status not in (0, 2):
                tail = log_path.read_text().strip().splitlines()[-1:]
                raise InputError(
                    f"asv ended with status {status}: {' '.join(tail)} (see {log_path})"
                )
            publish(stage, results)
            missing = len(group.cells - measured_cells(results, commit))
            failed += missing
            done += len(group.cells)
            remark = f", {missing} FAILED (see {log_path})" if missing else ""
            seconds = time.monotonic() - start
            console.print(f"{group.name}: {len(group.cells)} cells, {seconds:.0f} s{remark}")
    return 1 if failed else 0


def announce(console, todo, groups, is_full):
    """Say how much there is to do and how long it will take."""
    cells = sum(len(group.cells) for group in todo)
    seconds = cells * SECONDS_PER_CELL + (MANAGED_SETUP_SECONDS if is_full else 0)
    kept = len(groups) - len(todo)
    if kept:
        console.print(f"{kept} of {len(groups)} groups were measured before and are kept")
    if todo:
        console.print(
            f"{cells} cells in {len(todo)} groups: about {max(1, round(seconds / 60))} min "
            "(a minute more where nothing is compiled yet)"
        )


def study(console, *, is_full, results, chosen):
    """Measure what is missing; return the exit status."""
    try:
        groups = [g for g in groups_of(is_full) if not chosen or re.search(chosen, g.name)]
    except re.error as error:
        raise InputError(f"{chosen!r} is no regular expression: {error}") from error
    if not groups:
        names = ", ".join(name for name, _ in patterns(is_full, {}))
        raise InputError(f"no group matches {chosen!r}: accepted are harvest, {names}")
    repo, commit, note = identify(needs_commit=is_full)
    if note:
        console.print(note)
    results.mkdir(parents=True, exist_ok=True)
    drop_torn(results)
    todo = [group for group in groups if group.cells - measured_cells(results, commit)]
    announce(console, todo, groups, is_full)
    with tempfile.TemporaryDirectory() as folder:
        # asv writes in place, and goes on if this process is killed: never in the results.
        stage = shutil.copytree(results, Path(folder, "results"))
        config = write_config(folder, repo, stage)
        command = asv_command(config, commit, is_full=is_full)
        status = run_groups(console, todo, command, stage, results, commit)
    console.print(f"results of {commit[:8]}: {os.path.relpath(results)}")
    return status


def main(arguments=None):
    """Run from the command line; return the exit status."""
    from rich.console import Console

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.study", description="Run the suite."
    )
    parser.add_argument(
        "--full", action="store_true", help="the full grid, in an environment that asv builds"
    )
    parser.add_argument("--groups", metavar="REGEX", help="only the groups that it matches")
    parser.add_argument("--results", type=Path, help="asv's results (default: in results/local)")
    options = parser.parse_args(arguments)
    results = options.results or (FULL_RESULTS if options.full else STUDY_RESULTS)
    console = Console(highlight=False, soft_wrap=True)
    try:
        return study(
            console,
            is_full=options.full,
            results=results,
            chosen=options.groups,
        )
    except (InputError, OSError) as error:
        print(f"study: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("study: interrupted; what was measured is kept, and the same command goes on from it")
        return 130


if __name__ == "__main__":
    sys.exit(main())
