import base64
import hashlib
import json
import logging
import re
import resource
import time
from html.parser import HTMLParser

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from make_run import RUN, SUMMARY, Portraits, key_of, put_pictures, row, write_run

from idgen.config import ReportConfig
from idgen.errors import Exit, RunError
from idgen.report.gallery import write_report
from idgen.stores.local import LocalStore

_log = logging.getLogger(__name__)

HOSTILE = [
    "<script>document.title='owned'</script>",
    "</script><script>document.title='owned'</script>",
    "<!--<script>",
    "\"'><img src=x onerror=document.title='owned'>",
    "{{script}} {{data}}",
    "line\u2028separator \u202e reversed\nnewline",
]


class Page(HTMLParser):
    """The parts of a page that a browser would act on."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.blocks: dict[str, list[str]] = {}
        self.words: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = f"{tag} {dict(attrs).get('type') or ''}".strip() if tag in ("script", "style") else ""
        if self._inside:
            self.blocks.setdefault(self._inside, []).append("")

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside:
            self.blocks[self._inside][-1] += data
        else:
            self.words.append(data)

    @property
    def data(self):
        return json.loads(self.blocks["script application/json"][0])

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def report(store: LocalStore, config: ReportConfig | None = None, **options) -> Page:
    return Page(store.get(write_report(store, RUN, config or ReportConfig(), **options)).decode())


def values(page: Page, name: str) -> list:
    return unpacked(page.data["columns"][name], page.data["rows"])


def unpacked(column, rows: int) -> list:
    if isinstance(column, list):
        return column
    return [column["all"]] * rows if "all" in column else [column["values"][at] for at in column["at"]]


def test_hostile_text_opens_no_tag_and_comes_back_unchanged(tmp_path):
    rows = [row(n, prompt=text, sku=text, detail=text, warnings=[text]) for n, text in enumerate(HOSTILE)]
    plain = report(write_run(tmp_path / "plain", [row(n) for n in range(len(HOSTILE))]))
    page = report(
        write_run(tmp_path / "hostile", rows, {"git_commit": HOSTILE[0], "warnings": HOSTILE}), notes=HOSTILE[:4]
    )
    assert [values(page, name) for name in ("prompt", "sku", "detail")] == [HOSTILE] * 3
    active = {"script", "style", "img", "link", "iframe", "object", "base", "form", "meta"}
    assert [tag for tag, _ in page.tags if tag in active] == [tag for tag, _ in plain.tags if tag in active]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]


def test_the_policy_names_the_one_script_and_the_one_style_and_allows_nothing_else(tmp_path):
    page = report(write_run(tmp_path, [row(0)]))
    (policy,) = [a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a]
    rules = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    for kind, block in (("script-src", "script module"), ("style-src", "style")):
        (text,) = page.blocks[block]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[kind] == f"'sha256-{digest}'"
    assert (rules["default-src"], rules["img-src"], rules["base-uri"]) == ("'none'", "'self'", "'none'")
    assert (rules["require-trusted-types-for"], rules["trusted-types"]) == ("'script'", "'none'")
    assert set(page.blocks) == {"script module", "script application/json", "style"}


def test_the_page_asks_no_other_host_for_anything(tmp_path):
    store = write_run(tmp_path, [row(0, reference_uris=["https://shop.example/a.jpg"])], SUMMARY)
    page = report(store)
    addresses = [v for _, a in page.tags for n, v in a.items() if n in ("src", "href", "action", "srcset", "data")]
    assert addresses
    assert not [address for address in addresses if "//" in (address or "") or ":" in (address or "")]
    code = "".join(page.blocks["script module"] + page.blocks["style"])
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttpRequest|innerHTML|insertAdjacentHTML|eval\(", code)


def test_counts_cover_every_picture_and_add_up(tmp_path):
    rows = [row(n) for n in range(200)] + [row(200, status="unfinished", ledger_status="")]
    page = report(write_run(tmp_path, rows))
    tally = page.data["tally"]
    assert tally["asked"] == 201 == sum(tally[name] for name in ("ok", "rejected", "failed", "skipped", "unfinished"))
    assert tally["unfinished"] == 1
    assert "asked 201 = ok" in page.text


def test_every_problem_is_counted_by_its_code_also_one_of_an_earlier_run(tmp_path):
    rows = [row(0), row(10), row(21), row(5, status="skipped", ledger_status="rejected", code="no_face")]
    data = report(write_run(tmp_path, rows)).data
    assert data["problems"] == {"no_face": 2, "reference_missing": 1}
    assert data["codes"]["no_face"]["what_to_do"].startswith("use a photo with a visible face")


def test_a_code_of_a_newer_idgen_is_shown_as_it_is(tmp_path):
    data = report(write_run(tmp_path, [row(10, code="moon_phase")])).data
    assert data["codes"]["moon_phase"] == {"meaning": "moon_phase", "what_to_do": "", "retriable": False}


def test_a_larger_run_shows_problems_before_pictures_and_counts_all(tmp_path):
    rows = [row(n) for n in range(3000)]
    data = report(write_run(tmp_path, rows), ReportConfig(max_rows=600))
    bad = sum(1 for made in rows if made["status"] in ("rejected", "failed"))
    shown = values(data, "status")
    assert len(shown) == 600
    assert data.data["tally"]["asked"] == 3000
    assert sum(status in ("rejected", "failed") for status in shown) == min(bad, 300)
    assert values(data, "row_id") == sorted(values(data, "row_id"))


def test_half_of_the_room_is_not_wasted_when_nearly_all_failed(tmp_path):
    rows = [row(n, status="failed", code="internal") for n in range(90)] + [row(n) for n in range(90, 100)]
    assert len(values(report(write_run(tmp_path, rows), ReportConfig(max_rows=50)), "status")) == 50


def test_seeds_beyond_what_a_script_counts_exactly_stay_exact(tmp_path):
    assert values(report(write_run(tmp_path, [row(0, seed=2**63 - 1)])), "seed") == ["9223372036854775807"]


def test_results_with_other_types_missing_and_further_columns_are_read(tmp_path):
    store = LocalStore(str(tmp_path))
    table = pa.table(
        {
            "key": [key_of(1)],
            "status": pa.array(["ok"]).dictionary_encode(),
            "image_path": [f"images/{key_of(1)[:2]}/a b&%.png"],
            "seed": pa.array([7], pa.int32()),
            "seconds": [float("nan")],
            "price": [3.5],
        }
    )
    out = pa.BufferOutputStream()
    pq.write_table(table, out)
    store.put(f"runs/{RUN}/results.parquet", out.getvalue().to_pybytes())
    page = report(store)
    assert values(page, "prompt") == [""]
    assert values(page, "seconds") == [None]
    assert values(page, "image_path") == [f"images/{key_of(1)[:2]}/a%20b%26%25.png"]


def test_an_empty_run_has_a_page(tmp_path):
    page = report(write_run(tmp_path, []))
    assert page.data["rows"] == 0
    assert "asked 0 = ok 0" in page.text


@pytest.mark.parametrize("world", ["tiny", "drawn"])
def test_pictures_of_a_small_world_say_so_in_the_title(world, tmp_path):
    store = write_run(tmp_path, [row(0)])
    assert f"{world} world" not in report(store).text
    page = report(store, notes=[f"These are pictures of the {world} world: drawn people, no real model."])
    assert f"{RUN}: pictures from the {world} world" in page.text
    assert f"Pictures from the {world} world" in page.text


def test_full_addresses_never_reach_the_report(tmp_path):
    rows = [row(0, reference_uris=["https://shop.example/a.jpg"])]
    store, portraits = write_run(tmp_path, rows), Portraits()
    full = {rows[0]["key"]: {"reference_uris": ["https://shop.example/a.jpg?X-Amz-Signature=CANARY"]}}
    report(store, references=portraits, addresses=full)
    assert portraits.asked == full[rows[0]["key"]]["reference_uris"]
    for info in store.list(f"runs/{RUN}/report/"):
        assert b"CANARY" not in store.get(info.path)
        assert "CANARY" not in info.path


def test_only_files_that_are_there_are_linked(tmp_path):
    store = write_run(tmp_path, [row(0)])
    assert [a["href"] for tag, a in report(store).tags if tag == "a"][1:] == ["../results.parquet", "../summary.json"]
    store.put(f"runs/{RUN}/failed.parquet", b"x")
    assert "../failed.parquet" in [a["href"] for tag, a in report(store).tags if tag == "a"]


@pytest.mark.parametrize("run_id", ["", ".", "..", "../other", "a/b", "a\\b", "a\nb", ".hidden", "no-such-run"])
def test_a_run_that_is_none_is_a_usage_error(tmp_path, run_id):
    with pytest.raises(RunError) as caught:
        write_report(write_run(tmp_path, [row(0)]), run_id, ReportConfig())
    assert caught.value.exit_code == Exit.USAGE


@pytest.mark.load
def test_ten_thousand_pictures_build_within_a_minute_and_little_memory(tmp_path):
    rows = [row(n) for n in range(10_000)]
    store = write_run(tmp_path, rows, SUMMARY)
    put_pictures(store, rows)
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start_s = time.monotonic()
    page = store.get(write_report(store, RUN, ReportConfig(), references=Portraits()))
    took_s = time.monotonic() - start_s
    grown_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before_mb
    thumbs = sum(1 for _ in store.list("thumbs/"))
    size_mb = len(page) / 2**20
    _log.info("10,000 pictures: %.1f s, +%.0f MB, page %.1f MiB, %d thumbnails", took_s, grown_mb, size_mb, thumbs)
    assert thumbs == sum(1 for made in rows if made["image_path"])
    assert took_s < 60
    assert grown_mb < 400
    assert len(page) < 8 * 2**20
