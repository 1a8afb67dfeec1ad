"""Which image a decision was made on, as the ledger tells it: the one that its key had on the decision's date."""

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.dataset as ds

from idgen.outputs.ledger import dataset, reading_ledger
from idgen.outputs.stored_images import IMAGE_REPLACED
from idgen.reviews.decisions import ACCEPTED, Decision
from idgen.stores.protocol import ObjectStore

_COLUMNS = ["key", "finished_at", "attempt", "image_sha256", "warnings"]


def on_pictures(store: ObjectStore, decisions: Sequence[Decision]) -> tuple[list[Decision], list[Decision]]:
    """Return the decisions on pictures that the catalogue has or had, with their images; and outdated acceptances.

    Of a picture that was made again after the date, merged ledgers may no longer tell what people saw. Then a rejection
    is for whatever the key has, and an acceptance for nothing: what nobody saw is not published. Raises StoreError.
    """
    rows = _rows_of(store, {one.key for one in decisions})
    known: list[Decision] = []
    outdated: list[Decision] = []
    for one in decisions:
        if one.key not in rows:
            continue
        seen = _seen(one, rows[one.key])
        if seen is None and one.decision == ACCEPTED:
            outdated.append(one)
        else:
            known.append(replace(one, image_sha256=seen))
    return known, outdated


def _rows_of(store: ObjectStore, keys: set[str]) -> dict[str, list[dict[str, object]]]:
    """Return the ledger's ok rows by key, each key's in the order in which they were made."""
    is_there = (ds.field("status") == "ok") & ds.field("key").isin(pa.array(sorted(keys), pa.string()))
    with reading_ledger():
        found = dataset(store).to_table(columns=_COLUMNS, filter=is_there)
    rows: dict[str, list[dict[str, object]]] = {}
    for row in found.sort_by("finished_at").to_pylist():
        rows.setdefault(row["key"], []).append(row)
    return rows


def _seen(decision: Decision, rows: list[dict[str, object]]) -> str | None:
    """Return the sha256 of the image that was there on the decision's date; None when the ledger does not tell."""
    before = [row for row in rows if row["finished_at"] <= decision.decided_at]  # type: ignore[operator]
    if before:
        return str(before[-1]["image_sha256"])
    first = rows[0]  # clocks differ, and people write dates without times
    warnings = [str(warning) for warning in first["warnings"] or ()]  # type: ignore[attr-defined]
    made_again = first["attempt"] != 1 or any(warning.startswith(f"{IMAGE_REPLACED}:") for warning in warnings)
    return None if made_again else str(first["image_sha256"])
