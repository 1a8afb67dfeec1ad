"""Which files a manifest is made of."""

from dataclasses import dataclass

import pyarrow.fs as pf

from idgen.errors import Exit, RunError
from idgen.manifest.places import is_uri
from idgen.sources.redact import redact_text
from idgen.stores.opening import open_store

BATCH_ROWS = 32_768
ENDINGS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
"""With .gz behind them for the text ones."""


@dataclass(frozen=True, slots=True)
class Files:
    """A manifest's files, sorted by name, all of one kind."""

    filesystem: pf.FileSystem
    paths: list[str]
    kind: str
    folder: str
    """Where relative addresses start: a local path or s3://…"""


def find_files(manifest: str) -> Files:
    """Return the files at a local path or s3://. Raises RunError(USAGE) when there are none, or of several kinds."""
    if not manifest:
        raise RunError(Exit.USAGE, "manifest: give a Parquet file or folder, a CSV or a JSON lines file")
    filesystem, root = open_store(manifest).filesystem()
    try:
        info = filesystem.get_file_info(root)
        if info.type == pf.FileType.NotFound:
            raise RunError(Exit.USAGE, f"manifest: there is nothing at {redact_text(manifest)}")
        if info.type == pf.FileType.File:
            paths = [root]
        else:
            found = filesystem.get_file_info(pf.FileSelector(root, recursive=True))
            paths = sorted(f.path for f in found if f.type == pf.FileType.File and not _hidden(f.path, root))
    except OSError as error:
        raise RunError(Exit.UNAVAILABLE, f"manifest: cannot be read ({type(error).__name__})") from error
    kinds = {_kind(path) for path in paths}
    if len(kinds) != 1 or None in kinds:
        raise RunError(Exit.USAGE, "manifest: give files of one kind, ending in .parquet, .csv or .jsonl")
    folder = root if info.type == pf.FileType.Directory else root.rpartition("/")[0]
    is_s3 = is_uri(manifest) and manifest.lower().startswith("s3:")
    return Files(filesystem, paths, str(kinds.pop()), f"s3://{folder}" if is_s3 else folder)


def _kind(path: str) -> str | None:
    name = path.rpartition("/")[2].lower().removesuffix(".gz")
    return ENDINGS.get("." + name.rpartition(".")[2])


def _hidden(path: str, root: str) -> bool:
    return any(segment.startswith(("_", ".")) for segment in path.removeprefix(root).split("/"))
