"""The gallery reads what the manifest room really writes."""

import pyarrow.parquet as pq
from manifest.planning import Desk, row

from idgen.config import ReportConfig
from idgen.report.gallery import write_report
from idgen.report.rows import COLUMNS, read_results


def test_results_have_every_column_the_gallery_reads_and_the_counts_agree(tmp_path):
    desk = Desk(tmp_path)
    rows = [row(n, sku=f"{n:04d}", season="spring") for n in range(9)] + [
        row(9, width=100_000),
        row(10, prompt="look 0"),
    ]
    for outcome in ("fetch_failed", "left"):
        desk.plan(rows)
        desk.make(lambda picture: {"row-1": "no_face", "row-2": outcome}.get(picture["row_id"], "ok"))  # noqa: B023
        balance, results, _ = desk.results()
        assert not COLUMNS.keys() - pq.read_schema(tmp_path / "out" / "runs" / desk.run_id / "results.parquet").names
        shown = read_results(desk.store, desk.run_id, 100)
        tally = shown.tally
        for name in ("asked", "ok", "rejected", "failed", "skipped", "unfinished"):
            assert getattr(tally, name) == getattr(balance, name), name
        assert shown.table["row_id"].to_pylist() == [item["row_id"] for item in results]
        assert shown.table["prompt"].to_pylist() == [item["prompt"] or "" for item in results]
        assert desk.store.head(write_report(desk.store, desk.run_id, ReportConfig()))
    assert (tally.skipped, tally.unfinished) == (9, 1)
