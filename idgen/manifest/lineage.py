"""Which runs read the same manifest, night after night: those whose addresses differ in nothing but a date.

Only there does a row_id mean the same row: s3://shop/2026-11-30/shoes.parquet and s3://shop/2026-12-01/shoes.parquet
are one lineage, shoes.parquet and shirts.parquet are two. A run whose folder does not tell its manifest is of none.
"""

import json
import re
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

import yaml

from idgen.sources.redact import redact_uri
from idgen.stores.protocol import ObjectMissing, ObjectStore

_YEAR, _MONTH, _DAY = r"(?:19|20)\d\d", r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
_TIME = r"(?:[-_T ]?[0-2]\d[-_:]?[0-5]\d(?:[-_:]?[0-5]\d(?:\.\d+)?)?Z?)?"
_DATES = (
    rf"{_YEAR}(?P<between>[-_./]?){_MONTH}(?P=between){_DAY}{_TIME}",
    rf"{_DAY}(?P<other>[-_.]){_MONTH}(?P=other){_YEAR}",
    rf"{_YEAR}[-_./]{_MONTH}",
    rf"{_YEAR}-?W[0-5]\d",
    r"1[5-9]\d{8}",  # seconds since 1970
)
_DATE = re.compile(rf"(?<!\d)(?:{'|'.join(_DATES)})(?!\d)|\b(?:year|month|day|date|dt|week|hour)=[^/]*")
_THREADS = 16


def lineage(manifest: str) -> str:
    """Return a manifest's address without what changes from night to night: dates, times, and a signature."""
    return _DATE.sub("#", redact_uri(manifest, ()).partition("?")[0].rstrip("/"))


def runs_of_lineage(store: ObjectStore, run_ids: Collection[str], manifest: str) -> list[str]:
    """Return those of the runs that read a manifest of this one's lineage. Raises StoreError."""
    own = lineage(manifest)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="lineage") as threads:
        addresses = threads.map(lambda run_id: _manifest_of(store, run_id), run_ids)
        return [run_id for run_id, address in zip(run_ids, addresses, strict=True) if own and lineage(address) == own]


def _manifest_of(store: ObjectStore, run_id: str) -> str:
    """Return the address that a run's folder tells, "" when it tells none."""
    for name, read in (("summary.json", _of_summary), ("config.yaml", _of_config)):  # a killed run has no summary
        try:
            return str(read(store.get(f"runs/{run_id}/{name}")))
        except (ObjectMissing, yaml.YAMLError, ValueError, KeyError, TypeError):  # or was mended by hand
            continue
    return ""


def _of_summary(data: bytes) -> object:
    return json.loads(data)["manifest"]


def _of_config(data: bytes) -> object:
    # the pure Python loader takes six times as long, and there may be a file for each night of years
    return yaml.load(data, getattr(yaml, "CSafeLoader", yaml.SafeLoader))["config"]["manifest"]
