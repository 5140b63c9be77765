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
PACKAGES = ("strategies", "benchmarks")


class Revision(NamedTuple):
    """Code to be measured.

    Attributes
    ----------
    name : str
        As the user gave it.
    commit : str
    folders : tuple of Path
        Where its packages are, for PYTHONPATH; nobody edits them.
    """

    name: str
    commit: str
    folders: tuple


def check_out(name):
    """Return the revision of a name that git knows, or the working tree's for "worktree".

    Each package lies in the user's cache, in a folder named by git's hash of it: what was compiled
    there serves every commit that leaves the package as it is. Raises InputError.
    """
    if shutil.which("git") is None:
        raise InputError("git is needed, and is not installed")
    repo, commit = ROOT / ".git", git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    if name == WORKTREE:
        top, commit, _ = identify()
        repo = top / ".git" if top == ROOT else top
    if commit is None:
        raise InputError(f"no revision {name!r} in {ROOT}: accepted are git's and {WORKTREE!r}")
    return Revision(name, commit, tuple(_package(repo, commit, p) for p in PACKAGES))


def _package(repo, commit, package):
    """Return a folder that holds a package of a commit."""
    tree = _read(repo, "rev-parse", f"{commit}:{package}").strip()
    folder = Path(user_cache_dir("dirtylog"), "gate", tree)
    if not folder.exists():
        _extract(repo, tree, package, folder)
    return folder


def _read(repo, *arguments):
    """Return the output of git in a repository; raises InputError."""
    command = ["git", f"--git-dir={repo}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"git cannot read {repo}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def _extract(repo, tree, package, folder):
    """Write a package to a folder, completely or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        archive, sources = Path(temporary, "archive.tar"), Path(temporary, "sources")
        _read(repo, "archive", f"--prefix={package}/", "-o", str(archive), tree)
        with tarfile.open(archive) as tar:
            tar.extractall(sources, filter="data")
        with contextlib.suppress(OSError):  # another gate was first
            sources.rename(folder)
