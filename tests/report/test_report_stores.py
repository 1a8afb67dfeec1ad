"""The report on a local folder and on a real S3 server alike."""

from make_run import RUN, SUMMARY, Portraits, put_pictures, row, write_run

from idgen.config import ReportConfig
from idgen.report.gallery import write_report
from idgen.report.status import list_runs


def test_page_card_and_thumbnails_are_written_and_the_run_is_listed(store):
    rows = [row(n) for n in range(12)]
    write_run(store, rows, SUMMARY)
    put_pictures(store, rows)
    path = write_report(store, RUN, ReportConfig(), references=Portraits())
    assert path == f"runs/{RUN}/report/index.html"
    written = {info.path.removeprefix(f"runs/{RUN}/report/") for info in store.list(f"runs/{RUN}/report/")}
    assert {"index.html", "run_card.md"} <= written
    assert store.head(f"thumbs/{rows[0]['key'][:2]}/{rows[0]['key']}.webp")
    assert sum(name.startswith("refs/") for name in written) == 12
    assert [(run.run_id, run.state, run.exit_code) for run in list_runs(store)] == [(RUN, "ended", 0)]
