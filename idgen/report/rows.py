"""The rows of a report: every picture counted, the first `max_rows` of them read in full."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from idgen.checks.table import FINDING_COLUMNS
from idgen.columns import LABELS
from idgen.errors import Exit, RunError
from idgen.stores.protocol import ObjectStore, StoreError

STATUSES = ("ok", "rejected", "failed", "skipped")

_READ_ROWS = 2_000
_MARKS = ("status", "ledger_status", "code", "verdict", "decision")
_STRINGS = pa.list_(pa.string())

COLUMNS: dict[str, pa.DataType] = {
    **dict.fromkeys(
        ("row_id", "key", "recipe", "status", "ledger_status", "code", "detail", "what_to_do", "duplicate_of"),
        pa.string(),
    ),
    **dict.fromkeys(("image_path", "prompt", "negative_prompt", "settings", "replaces"), pa.string()),
    **dict.fromkeys((*LABELS, "output_name", "carried", "finished_at"), pa.string()),
    **dict.fromkeys(("verdict", "decision", "decision_reason", "decided_by", "decided_at"), pa.string()),
    **dict.fromkeys(("previous_key", "previous_image_path", "named_path", "tries_made"), pa.string()),
    **dict.fromkeys(("image_index", "seed", "attempt", "width", "height", "near_duplicate_of"), pa.int64()),
    "seconds": pa.float64(),
    **{column.name: pa.float64() if pa.types.is_floating(column.type) else column.type for column in FINDING_COLUMNS},
    "warnings": _STRINGS,
    "reference_uris": _STRINGS,
    "reference_faces": pa.list_(pa.int64()),
    "target_keypoints": pa.list_(pa.float64()),
}
"""What the gallery takes from results.parquet; a column that is missing there is shown as empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """All pictures of a run by status; `unfinished` were asked for but never begun (the run was stopped)."""

    asked: int
    ok: int
    rejected: int
    failed: int
    skipped: int

    @property
    def unfinished(self) -> int:
        """How many have no status."""
        return self.asked - self.ok - self.rejected - self.failed - self.skipped


@dataclass(frozen=True, slots=True)
class RunResults:
    """A run's results: `table` is the rows shown, the rest counts all; `problems`: code -> pictures without image."""

    tally: Tally
    problems: dict[str, int]
    table: pa.Table
    held: int = 0
    """Pictures that a gate held back."""


def run_folder(run_id: str) -> str:
    """Return the run's folder in the store; RunError(USAGE) for a name that is no plain folder name."""
    if not run_id or run_id.startswith(".") or set(run_id) & set("/\\") or not run_id.isprintable():
        raise RunError(Exit.USAGE, f"run.id is not the name of a run: {run_id!r}")
    return f"runs/{run_id}"


def read_results(store: ObjectStore, run_id: str, max_rows: int) -> RunResults:
    """Count all of results.parquet and read at most `max_rows` pictures of it, in the manifest's order.

    Of a larger run what has no image or is held comes first (up to half of the rows), then the manifest's first
    pictures. Memory grows with `max_rows` and a few bytes per picture. RunError(USAGE) when there are no results,
    StoreError when they cannot be opened.
    """
    filesystem, root = store.filesystem()
    path = f"{root.rstrip('/')}/{run_folder(run_id)}/results.parquet"
    try:
        handle = filesystem.open_input_file(path)
    except FileNotFoundError:
        raise RunError(Exit.USAGE, f"run {run_id} has no results.parquet in {store.root}; has it ended?") from None
    except OSError as error:
        raise StoreError(f"results.parquet of run {run_id} cannot be read") from error
    with handle, pq.ParquetFile(handle) as file:
        marks = _marks(file)
        held = int(_is_held(marks).sum())
        return RunResults(_tally(marks), _problems(marks), _take(file, _choose(marks, max_rows)), held)


def _marks(file: pq.ParquetFile) -> pa.Table:
    """Status, ledger_status, code, verdict and decision of every picture, as dictionaries of a few words."""
    names = [name for name in _MARKS if name in file.schema_arrow.names]
    table = file.read(columns=names)
    columns = {name: _cast(table, name) for name in _MARKS}
    return pa.table({name: pc.dictionary_encode(column) for name, column in columns.items()})


def _tally(marks: pa.Table) -> Tally:
    counted = {item["values"]: item["counts"] for item in pc.value_counts(_plain(marks, "status")).to_pylist()}
    return Tally(asked=marks.num_rows, **{status: int(counted.get(status, 0)) for status in STATUSES})


def _problems(marks: pa.Table) -> dict[str, int]:
    bad = marks.filter(pa.array(_is_problem(marks)))
    counted = pc.value_counts(_plain(bad, "code")).to_pylist()
    return {item["values"]: int(item["counts"]) for item in sorted(counted, key=lambda item: -item["counts"])}


def _is_problem(marks: pa.Table) -> NDArray[np.bool_]:
    """True for pictures without an image, those that an earlier run rejected included."""
    bad = pa.array(["rejected", "failed"])
    here, before = (pc.is_in(_plain(marks, name), value_set=bad) for name in ("status", "ledger_status"))
    flags: NDArray[np.bool_] = pc.or_(here, before).to_numpy(zero_copy_only=False)
    return flags


def _is_held(marks: pa.Table) -> NDArray[np.bool_]:
    """True for pictures that a gate holds back and nobody decided on."""
    held, open_ = pc.equal(_plain(marks, "verdict"), "held"), pc.equal(_plain(marks, "decision"), "")
    flags: NDArray[np.bool_] = pc.and_(held, open_).to_numpy(zero_copy_only=False)
    return flags


def _choose(marks: pa.Table, max_rows: int) -> NDArray[np.int64]:
    """Positions of the pictures shown, ascending."""
    if marks.num_rows <= max_rows:
        return np.arange(marks.num_rows)
    problem = _is_problem(marks) | _is_held(marks)
    first = np.flatnonzero(problem)[: max_rows // 2]
    others = np.flatnonzero(~problem)[: max_rows - len(first)]
    # few pictures that worked: what is left of the room goes to the others
    more = np.flatnonzero(problem)[len(first) : max_rows - len(others)]
    return np.sort(np.concatenate([first, others, more]))


def _take(file: pq.ParquetFile, positions: NDArray[np.int64]) -> pa.Table:
    present = [name for name in COLUMNS if name in file.schema_arrow.names]
    parts = list(_pieces(file, present, positions))
    table = pa.concat_tables(parts) if parts else file.schema_arrow.empty_table()
    return pa.table({name: _cast(table, name) for name in COLUMNS})


def _pieces(file: pq.ParquetFile, names: list[str], positions: NDArray[np.int64]) -> Iterator[pa.Table]:
    start = 0
    for batch in file.iter_batches(_READ_ROWS, columns=names):
        inside = positions[(positions >= start) & (positions < start + batch.num_rows)] - start
        start += batch.num_rows
        if len(inside):
            yield pa.Table.from_batches([batch]).take(pa.array(inside))
        if not len(positions) or start > positions[-1]:
            return


def _cast(table: pa.Table, name: str) -> pa.ChunkedArray:
    """The column in the gallery's type; empty where it is missing or of a type that cannot be cast."""
    wanted = COLUMNS[name]
    if name not in table.column_names:
        column = pa.chunked_array([pa.nulls(table.num_rows, wanted)])
    else:
        column = table.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        column = column.cast(wanted)
    return pc.fill_null(column, "") if wanted == pa.string() else column


def _plain(table: pa.Table, name: str) -> pa.ChunkedArray:
    return table.column(name).cast(pa.string())
