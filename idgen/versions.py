"""The versions that made a picture: the libraries that matter, and the commit of the code."""

import subprocess
from importlib import metadata
from pathlib import Path

from idgen import __version__

LIBRARIES = ("ray", "torch", "diffusers", "transformers", "insightface", "onnxruntime", "pyarrow", "pillow")


def versions() -> dict[str, str]:
    """Return the installed version of each library that can change a picture; absent ones are left out. No imports."""
    found = {"idgen": __version__}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_commit() -> str:
    """Return the checkout's commit, with `+` when files differ from it; "" outside a checkout (a submitted job)."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return ""
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
