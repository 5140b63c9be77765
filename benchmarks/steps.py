"""The study on this machine: benchmarks, replays, lanes, report, where something has changed.

asv tells by the commit what it has measured. Replays and report have a digest each of all that they
were made from, in a file beside them.
"""

import hashlib
import json
import sys

from benchmarks.snapshot import ROOT

STAMPS = "made_from.json"
PINS = ROOT / "constraints.txt"
LANES = ("cells.csv", "recordings.csv", "origin.json")
REPLAYED = ("harvests.csv", "summary.csv", "png")


class Stamps:
    """What the outputs in a folder were made from.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder):
        self._path = folder / STAMPS
        self._digests = json.loads(self._path.read_text()) if self._path.exists() else {}

    def is_current(self, outputs, digest):
        """Say whether all outputs, paths, are there and the first was made from that digest."""
        return self._digests.get(outputs[0].name) == digest and all(p.exists() for p in outputs)

    def made(self, outputs, digest):
        """Note, in one step, what the outputs were made from."""
        from strategies.files import replaced

        self._digests[outputs[0].name] = digest
        with replaced(self._path) as temporary:
            temporary.write_text(json.dumps(self._digests, indent=2) + "\n")


def digest_of(*inputs):
    """Return a hex digest of files, of all files in folders, and of Python's version."""
    digest = hashlib.blake2b(sys.version.encode(), digest_size=12)
    for top in inputs:
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(top)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def replay_all(out, stamps):
    """Replay each recording through every tracker into a folder; return the exit status."""
    from strategies.registry import names
    from strategies.replay.session import run_replay
    from strategies.workloads.trace import bundled, load_trace

    digest = digest_of(ROOT / "strategies", PINS)
    for name in bundled():
        files = [out / f"{name}.{suffix}" for suffix in REPLAYED]
        if stamps.is_current(files, digest):
            print(f"{name} was replayed before and is kept")
            continue
        trace = load_trace(name)
        status = run_replay(trace, names(), label=name, vcpus=1, mapping="linear", out=out)
        if status:
            return status
        stamps.made(files, digest)
    return 0


def measure_lanes(out, stamps):
    """Measure the trackers of this machine's kernel, half a minute, into a folder."""
    from benchmarks.by_hand.lanes import SHORT, measure
    from strategies.errors import InputError

    digest = digest_of(ROOT / "strategies", ROOT / "benchmarks/by_hand/lanes.py", PINS)
    files = [out / name for name in LANES]
    if stamps.is_current(files, digest):
        print("the lanes were measured before and are kept")
        return
    try:
        missing = measure(SHORT, out)
    except InputError as error:  # the study goes on without
        print(f"no lanes: {error}")
        return
    for name, reason in missing.items():
        print(f"no lane {name}: {reason}")
    if out.exists():
        stamps.made(files, digest)


def report_on(results, page, stamps):
    """Write the report of a folder of results; return whether there was anything to do."""
    from analysis.report.write import write_report

    code = [ROOT / "analysis", ROOT / "strategies", ROOT / "results/reference/derived", PINS]
    digest = digest_of(*code, *(results / name for name in ("raw", "replay", "lanes")))
    outputs = [page, page.with_name("answer.md")]
    if stamps.is_current(outputs, digest):
        return False
    write_report(results, page.parents[1])
    stamps.made(outputs, digest)
    return True


def print_answer(console, path):
    """Print the answer without its tables, which the page has, and what introduces each."""
    from rich.markdown import Markdown

    paragraphs = path.read_text(encoding="utf-8").split("\n\n")
    pairs = zip(paragraphs, [*paragraphs[1:], ""], strict=True)
    kept = [one for one, after in pairs if not (one.startswith("|") or after.startswith("|"))]
    console.print(Markdown("\n\n".join(kept)))


def run_study(out):
    """Measure, replay, report, and print the answer; return the exit status.

    Parameters
    ----------
    out : Path
        Folder of the results: `raw`, `replay`, `lanes`, `report`.

    Raises
    ------
    InputError
        A package, git or asv is missing, or fails.
    """
    from rich.console import Console

    from analysis.report.write import ClaimError
    from benchmarks.study import study

    console = Console(highlight=False, soft_wrap=True)
    failed = study(console, is_full=False, results=out / "raw", chosen=None)
    stamps, page = Stamps(out), out / "report" / "index.html"
    lost = replay_all(out / "replay", stamps)
    if lost:
        return lost
    measure_lanes(out / "lanes", stamps)
    try:
        is_new = report_on(out, page, stamps)
    except ClaimError as error:
        print(f"dirtylog: error: {error}", file=sys.stderr)
        return 1
    if not is_new:
        console.print("Nothing has changed since the last study.")
    print_answer(Console(highlight=False), page.with_name("answer.md"))
    console.print(f"\nThe whole report: {page}")
    return failed
