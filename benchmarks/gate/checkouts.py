"""A revision as a folder of its own that nobody edits."""

import contextlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

from platformdirs import user_cache_dir

from benchmarks.snapshot import ROOT, git, identify
from strategies.errors import InputError

WORKTREE = "worktree"
CHECKED_OUT = ("strategies", "benchmarks")


class Revision(NamedTuple):
    """Code to be measured.

    Attributes
    ----------
    name : str
        As the user gave it.
    commit : str
    folder : Path
        A checkout of it that nobody edits.
    """

    name: str
    commit: str
    folder: Path


def check_out(name):
    """Return the revision of a name that git knows, or the working tree's for "worktree".

    Its sources lie in the user's cache, in a folder named by what they are: what was compiled there
    serves every commit that changes none of them. Raises InputError.
    """
    if shutil.which("git") is None:
        raise InputError("git is needed, and is not installed")
    repo, commit = ROOT, git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    if name == WORKTREE:
        repo, commit, _ = identify()
    if commit is None:
        raise InputError(f"no revision {name!r} in {ROOT}: accepted are git's and {WORKTREE!r}")
    trees = _read(repo, "rev-parse", *(f"{commit}:{folder}" for folder in CHECKED_OUT)).split()
    folder = Path(user_cache_dir("dirtylog"), "gate", "-".join(tree[:16] for tree in trees))
    if not folder.exists():
        _extract(repo, commit, folder)
    return Revision(name, commit, folder)


def _read(repo, *arguments):
    """Return the output of git in a repository; raises InputError."""
    command = ["git", "-C", str(repo), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"git cannot read {repo}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def _extract(repo, commit, folder):
    """Write the sources of a commit to a folder, completely or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        archive, sources = Path(temporary, "archive.tar"), Path(temporary, "sources")
        _read(repo, "archive", "-o", str(archive), commit, *CHECKED_OUT)
        with tarfile.open(archive) as tar:
            tar.extractall(sources, filter="data")
        with contextlib.suppress(OSError):  # another gate was first
            sources.rename(folder)
