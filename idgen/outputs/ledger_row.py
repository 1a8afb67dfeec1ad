"""One LEDGER row from one picture: what was asked for, redacted, and how it ended."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from idgen import __version__
from idgen.checks.looking import NOTHING_FOUND, Findings
from idgen.checks.table import FINDING_COLUMNS
from idgen.column import Column
from idgen.columns import COLUMNS, LABELS
from idgen.errors import CODES, MAX_DETAIL_CHARS, Code, Status
from idgen.schemas import LEDGER, PictureRow
from idgen.sources.redact import redact_text, redact_uri, redact_uris
from idgen.values import Cell

_OWN_COLUMNS = {*LEDGER.names, "reference_uri"}
_SETTINGS = tuple(column for column in COLUMNS if column.name not in _OWN_COLUMNS)


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image that is in the store: path below the output, hash and size of its bytes, its pixels."""

    path: str
    sha256: str
    bytes: int
    format: str
    width: int
    height: int


def ledger_row(
    picture: PictureRow,
    *,
    status: Status,
    stage: str,
    run_id: str,
    shard: str,
    shard_try: int,
    signature_parameters: Sequence[str],
    code: str = "",
    detail: str = "",
    image: StoredImage | None = None,
    findings: Findings = NOTHING_FOUND,
    tries_made: str = "",
    seconds: float | None = None,
    batch_rows: int | None = None,
    finished_at: datetime | None = None,
) -> dict[str, object]:
    """Return a row of LEDGER for a row of PICTURES or ANALYSED (as a dict; identity columns may be absent).

    URIs are written without userinfo and signatures, also inside the carried columns. `findings` are the checks'
    (null columns without them), `seconds` is this picture's share of its
    batch. ValueError when an `ok` row has no image, or another one has.
    """
    if (status == "ok") != (image is not None) or (status == "ok") != (code == ""):
        raise ValueError(f"{status} with code {code!r} and image {image}")
    done = _image_columns(image) if image else {}
    return {
        **asked_columns(picture, signature_parameters),
        **{column.name: findings.values.get(column.name) for column in FINDING_COLUMNS},
        "verdict": findings.verdict if image else "",
        "tries_made": tries_made,
        "warnings": [*(picture.get("warnings") or []), *findings.warnings],
        "status": status,
        "code": str(code),
        "detail": redact_text(detail, signature_parameters)[:MAX_DETAIL_CHARS],
        "stage": stage,
        "retriable": code != "" and CODES[Code(code)].retriable,
        "run_id": run_id,
        "shard": shard,
        "shard_try": shard_try,
        "finished_at": finished_at or datetime.now(UTC),
        "seconds": seconds,
        "batch_rows": batch_rows,
        "idgen_version": __version__,
        **done,
    }


def asked_columns(picture: PictureRow, signature_parameters: Sequence[str]) -> dict[str, object]:
    """Return the columns of a ledger row that say what was asked for, redacted; no image yet."""
    cells: Mapping[str, Cell] = picture
    settings = {
        column.name: _setting(column, cells[column.name], signature_parameters)
        for column in _SETTINGS
        if cells.get(column.name) is not None
    }
    return {
        **{name: cells.get(name) for name in _COPIED},
        **{name: cells.get(name) or "" for name in _COPIED_TEXT},
        **{name: redact_uris(cells.get(name) or "", signature_parameters) for name in _IDS},
        "image_path": "",
        "image_sha256": "",
        "image_bytes": 0,
        "image_format": picture.get("output_format") or "",
        "settings": _json(settings),
        "reference_uris": [redact_uri(uri, signature_parameters) for uri in _references(picture)],
        "carried": _redact_carried(cells.get("carried") or "{}", signature_parameters),
    }


def _image_columns(image: StoredImage) -> dict[str, object]:
    return {
        "image_path": image.path,
        "image_sha256": image.sha256,
        "image_bytes": image.bytes,
        "image_format": image.format,
        "width": image.width,
        "height": image.height,
    }


_COPIED_TEXT = (
    "key", "replaces", "recipe", "recipe_hash", "output_name", "prompt", "negative_prompt",
)  # fmt: skip
_IDS = ("row_id", *LABELS)
_COPIED = (
    "attempt", "image_index", "seed", "width", "height", "reference_digest", "reference_box",
    "reference_score", "reference_faces", "target_keypoints",
)  # fmt: skip


def _references(picture: PictureRow) -> list[str]:
    one = picture.get("reference_uri")
    return [one] if one else list(picture.get("reference_uris") or [])


def _setting(column: Column, value: Cell, signature_parameters: Sequence[str]) -> object:
    if column.holds_addresses:
        if isinstance(value, str):
            return redact_uri(value, signature_parameters)
        return [redact_uri(one, signature_parameters) for one in value]
    if pa.types.is_map(column.type):
        return {name: _short(number) for name, number in dict(value).items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_short(item) for item in value]
    return _short(value)


def _short(value: object) -> object:
    """Return a float32's shortest decimal (0.8, not 0.800000011920929); anything else as it is."""
    return float(str(np.float32(value))) if isinstance(value, float | np.floating) else value


def _redact_carried(carried: str, signature_parameters: Sequence[str]) -> str:
    cells = json.loads(carried)
    clean = _redacted(cells, signature_parameters)
    return carried if clean == cells else _json(clean)


def _redacted(value: object, signature_parameters: Sequence[str]) -> object:
    if isinstance(value, str):
        return redact_uris(value, signature_parameters)
    if isinstance(value, list):
        return [_redacted(item, signature_parameters) for item in value]
    if isinstance(value, dict):
        return {key: _redacted(item, signature_parameters) for key, item in value.items()}
    return value


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
