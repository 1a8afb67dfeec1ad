"""Which files a manifest is made of, and which columns the names of their folders give."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

import pyarrow.fs as pf

from idgen.errors import Exit, RunError
from idgen.manifest.addresses import is_uri
from idgen.sources.redact import redact_text
from idgen.stores.opening import open_store

BATCH_ROWS = 32_768
ENDINGS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
"""With .gz behind them for the text ones."""

_NO_PARTITION = "__HIVE_DEFAULT_PARTITION__"
"""What Hive and Spark call the folder of rows whose partition column is null."""


@dataclass(frozen=True, slots=True)
class ManifestFiles:
    """A manifest's files, sorted by name, all of one kind."""

    filesystem: pf.FileSystem
    paths: list[str]
    kind: str
    folder: str
    """Where relative addresses start: a local path or s3://…"""
    root: str = ""
    """The folder that was given, as the file system spells it; of a single file its own folder."""

    def name(self, path: str) -> str:
        """Return a file's name for messages: its path below the manifest's folder."""
        return path.removeprefix(self.root).lstrip("/")

    def partition(self, path: str) -> Mapping[str, str | None]:
        """Return the columns that the folders on the way to a file give to all its rows, as recipe=x does.

        Raises RunError(USAGE) for two folders that name one column.
        """
        found: dict[str, str | None] = {}
        for segment in self.name(path).split("/")[:-1]:
            name, equals, value = segment.partition("=")
            if not equals or not name:
                continue
            name, value = unquote(name), unquote(value)
            if name in found:
                raise RunError(Exit.USAGE, f"manifest: two folders in the path of {self.name(path)} set {name}=")
            found[name] = None if value == _NO_PARTITION else value
        return found

    def folders_above(self) -> dict[str, str]:
        """Return column -> name of the folders that name one and end the way to the given one: they give none."""
        found = {}
        for segment in reversed(self.root.split("/")):
            name, equals, _ = segment.partition("=")
            if not equals or not name:
                break
            found[unquote(name)] = segment
        return found


def find_files(manifest: str) -> ManifestFiles:
    """Return the files at a local path or s3://.

    Raises RunError(USAGE) when there are none, or of several kinds, or a table whose files alone do not say which rows
    it has (Delta, Iceberg, Hudi).
    """
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
            _check_table(f.path.removeprefix(root) for f in found)
            _check_table(_logs_above(filesystem, root))
            paths = sorted(f.path for f in found if f.type == pf.FileType.File and not _hidden(f.path, root))
    except OSError as error:
        raise RunError(Exit.UNAVAILABLE, f"manifest: cannot be read ({type(error).__name__})") from error
    kinds = {_kind(path) for path in paths}
    if len(kinds) != 1 or None in kinds:
        raise RunError(Exit.USAGE, "manifest: give files of one kind, ending in .parquet, .csv or .jsonl")
    folder = root if info.type == pf.FileType.Directory else root.rpartition("/")[0]
    is_s3 = is_uri(manifest) and manifest.lower().startswith("s3:")
    return ManifestFiles(filesystem, paths, str(kinds.pop()), f"s3://{folder}" if is_s3 else folder, folder)


def _check_table(paths: Iterable[str]) -> None:
    """Refuse the folder of a table format: it keeps the files of rows that were deleted or replaced."""
    for path in paths:
        segments = path.split("/")
        table = next((_TABLES[segment] for segment in segments if segment in _TABLES), "")
        if "metadata" in segments[:-1] and (
            path.endswith((".metadata.json", ".metadata.json.gz")) or segments[-1] == "version-hint.text"
        ):
            table = "an Iceberg table"
        if table:
            raise RunError(
                Exit.USAGE,
                f"manifest: this is {table}, whose folder also holds files of deleted rows; export it to plain "
                "Parquet, or give the files",
            )


def _logs_above(filesystem: pf.FileSystem, root: str) -> list[str]:
    """Return the logs of tables of which the folder is a part, as table/recipe=x is."""
    table = root
    while "=" in table.rpartition("/")[2]:
        table = table.rpartition("/")[0]
    if table == root:
        return []
    found = filesystem.get_file_info([f"{table}/{name}" for name in _TABLES])
    return [f.path for f in found if f.type == pf.FileType.Directory]


_TABLES = {"_delta_log": "a Delta table", ".hoodie": "a Hudi table"}


def _kind(path: str) -> str | None:
    name = path.rpartition("/")[2].lower().removesuffix(".gz")
    return ENDINGS.get("." + name.rpartition(".")[2])


def _hidden(path: str, root: str) -> bool:
    return any(segment.startswith(("_", ".")) for segment in path.removeprefix(root).split("/"))
