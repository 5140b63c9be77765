"""Write the pages that show results over commits: `python -m benchmarks.history`.

Those of asv (`results/local/asv`) and of the study (`results/local/raw`) together. A result is
shown if HEAD comes from its commit; a snapshot of a tree with changes, which is no commit, has no
place in a history. Exit status: 2 if there is nothing to show.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.snapshot import ROOT
from benchmarks.study import write_config
from strategies.errors import InputError

SOURCES = (ROOT / "results/local/raw", ROOT / "results/local/asv")
HTML = ROOT / ".asv/html"
SUITE, MACHINE = "benchmarks.json", "machine.json"


def is_ancestor(repo, commit):
    """Say whether HEAD comes from a commit."""
    command = ["git", "-C", repo, "merge-base", "--is-ancestor", str(commit), "HEAD"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def gather(repo, sources, stage):
    """Copy what a history can show to an empty folder.

    Parameters
    ----------
    repo : Path
        The git repository.
    sources : sequence of Path
        Folders of asv's results; the last one's description of a benchmark counts.

    Returns
    -------
    tuple
        How many files of results were copied, and the set of commits that were left out.
    """
    suite, shown, left_out = {}, 0, set()
    for source in (source for source in sources if (source / SUITE).exists()):
        suite |= json.loads((source / SUITE).read_text())
        for path in sorted(source.glob("*/*.json")):
            target = stage / path.relative_to(source)
            target.parent.mkdir(exist_ok=True)
            commit = json.loads(path.read_text()).get("commit_hash")
            if path.name != MACHINE and not is_ancestor(repo, commit):
                left_out.add(commit)
                continue
            shown += path.name != MACHINE
            shutil.copy(path, target)
    (stage / SUITE).write_text(json.dumps(suite))
    return shown, left_out


def publish(repo, sources, html):
    """Write the pages; yield lines that say what they show.

    Raises
    ------
    InputError
        There is nothing to show, or asv failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        stage = Path(folder, "results")
        stage.mkdir()
        shown, left_out = gather(repo, sources, stage)
        if left_out:
            names = ", ".join(sorted(commit[:8] for commit in left_out))
            yield f"left out, for HEAD does not come from them: {names}"
        if not shown:
            raise InputError("nothing to show: accepted are results of `asv run` or `make study`")
        config = write_config(folder, repo, stage)
        command = [sys.executable, "-m", "asv", "publish", "--config", str(config), "-o", str(html)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise InputError(f"asv publish failed: {done.stdout.strip()} {done.stderr.strip()}")
        yield f"{shown} result files are shown in {html}"


def main():
    """Run from the command line; return the exit status."""
    try:
        for line in publish(ROOT, SOURCES, HTML):
            print(line)
    except InputError as error:
        print(f"history: {error}", file=sys.stderr)
        return 2
    print("`.venv/bin/asv preview` serves it: a browser opens no such page from a file")
    return 0


if __name__ == "__main__":
    sys.exit(main())
