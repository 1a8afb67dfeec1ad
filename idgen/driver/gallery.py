"""The gallery at a run's end: a new page when there is something new to see, else the newest one."""

import logging
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from idgen.columns import IMAGES
from idgen.driver.setup import Run
from idgen.report.status import run_ids
from idgen.reviews.decisions import decided_since
from idgen.stores.protocol import ObjectInfo

GALLERY = "runs/{}/report/index.html"
_RUNS_LOOKED_AT = 20

log = logging.getLogger(__name__)


def gallery_of(run: Run, summary: dict[str, object], *, made: bool, stopping: Callable[[], bool]) -> str:
    """Return where the gallery is that shows the run, "" without one.

    A run that `made` nothing is shown by the newest gallery, unless people have decided on pictures since that one. A
    run is not a failure because its report is.
    """
    if not run.config.report.enabled:
        return ""
    try:
        newest = None if made else _newest(run)
        if newest and decided_since(run.store, newest.modified):
            newest = None
        return run.store.uri(newest.path if newest else _write_gallery(run, summary, stopping))
    except Exception:
        log.warning("the gallery was not made; jobs/report.py run.id=%s makes it", run.id, exc_info=True)
        return ""


def _newest(run: Run) -> ObjectInfo | None:
    """The newest run's gallery; None when the last few runs have none."""
    pages = (run.store.head(GALLERY.format(run_id)) for run_id in run_ids(run.store)[:_RUNS_LOOKED_AT])
    return next((page for page in pages if page), None)


def _write_gallery(run: Run, summary: dict[str, object], stopping: Callable[[], bool]) -> str:
    from idgen.report.gallery import write_report
    from idgen.report.thumbnails import photo_reader

    with photo_reader(run.config.sources, run.manifest_roots) as references:
        return write_report(
            run.store,
            run.id,
            run.config.report,
            notes=[str(run.folder.redacted(note)) for note in run.config.notes],
            summary=summary,
            references=references,
            addresses=_addresses(run),
            stopping=stopping,
        )


def _addresses(run: Run) -> dict[str, dict[str, list[str]]]:
    """Key -> column -> addresses of what the picture is made of, with their signatures; never written anywhere.

    Of as many pictures as the gallery shows.
    """
    shown: set[str] = set()
    with pq.ParquetFile(run.scratch / "results.parquet") as results:
        for batch in results.iter_batches(columns=["key"]):
            shown.update(batch.column("key").to_pylist())
            if len(shown) >= run.config.report.max_rows:
                break
    keys = pa.array(sorted(shown), pa.string())
    found: dict[str, dict[str, list[str]]] = {}
    with pq.ParquetFile(run.scratch / "asked.parquet") as asked:
        for batch in asked.iter_batches(columns=["key", "reference_uris", *IMAGES]):
            for row in batch.filter(pc.is_in(batch["key"], value_set=keys)).to_pylist():
                given = {column: [row[column]] for column in IMAGES if row[column]}
                found[row["key"]] = given | {"reference_uris": row["reference_uris"] or []}
    return found
