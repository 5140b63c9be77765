"""Which code is being measured: a commit, or a snapshot of a tree that is none.

asv names results by commit. Where the tree is no git checkout, or has changes that are not
committed, its sources are committed to a repository of its own under `.asv`; the same sources
always get the same name, so that an interrupted run goes on from there.
"""

import os
import shutil
import subprocess
from pathlib import Path

from strategies.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
SNAPSHOT = ROOT / ".asv" / "snapshot.git"

MEASURED = ("strategies", "benchmarks", "asv.conf.json", "pyproject.toml", ":!*.md")
"""What a result depends on."""

PACKAGED = ("strategies", "analysis", "benchmarks", "asv.conf.json", "pyproject.toml", "LICENSE")
"""What a snapshot holds beside the README: enough to build the package."""

NOBODY = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (
        ("NAME", "snapshot"),
        ("EMAIL", "snapshot@localhost"),
        ("DATE", "2000-01-01T00:00:00Z"),
    )
}


def git(*arguments, environment=None):
    """Run git in the tree; return its output, or None if it failed."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    return None if done.returncode else done.stdout.strip()


def identify(*, needs_commit=False):
    """Find out which commit is measured.

    Parameters
    ----------
    needs_commit : bool
        Measure the commit, whatever is changed in the tree: an environment that asv builds has
        what is committed.

    Returns
    -------
    tuple
        The repository (a path), the commit, and what the user should know or "".
    """
    if shutil.which("git") is None:
        raise InputError("git, which names the results, is missing; on Debian: apt install git")
    top = git("rev-parse", "--show-toplevel")
    commit = git("rev-parse", "--verify", "HEAD")
    if top is None or Path(top).resolve() != ROOT or commit is None:
        note = "This is not a git checkout: the results are named by a snapshot of the sources."
        return SNAPSHOT, snapshot(), note
    if not git("status", "--porcelain", "--", *MEASURED):
        return ROOT, commit, ""
    if needs_commit:
        return ROOT, commit, "There are changes that are not committed: the commit is measured."
    note = "There are changes that are not committed: the results are named by a snapshot."
    return SNAPSHOT, snapshot(), note


def snapshot():
    """Commit the sources to the repository of snapshots; return the commit."""
    where = {"GIT_DIR": str(SNAPSHOT), "GIT_WORK_TREE": str(ROOT), **NOBODY}
    SNAPSHOT.parent.mkdir(exist_ok=True)
    git("init", "--quiet", environment=where)
    git("rm", "-r", "--cached", "--quiet", "--ignore-unmatch", ".", environment=where)
    git("add", "--all", "--", *PACKAGED, ":!*.md", environment=where)
    git("add", "--", "README.md", environment=where)
    tree = git("write-tree", environment=where)
    commit = git("commit-tree", tree or "", "-m", "snapshot", environment=where)
    if commit is None or git("update-ref", "HEAD", commit, environment=where) is None:
        raise InputError(f"git cannot write a snapshot of the sources to {SNAPSHOT}")
    return commit
