"""The gallery of a run: one static page with every picture, what it was made of, and what to do about the others.

The page works from a folder and from an object store. Its data are a JSON block, its one script and one style sheet
are named by hash in the page's Content-Security-Policy, and all text enters the document as text.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from urllib.parse import quote

import pyarrow as pa

from idgen.checks.table import FINDING_COLUMNS
from idgen.column import in_words
from idgen.columns import BY_NAME, IMAGES, LABELS
from idgen.config import ReportConfig
from idgen.errors import CODES, Code
from idgen.report.inputs import ground_of, inputs_of
from idgen.report.rows import COLUMNS, STATUSES, RunResults, read_results, run_folder
from idgen.report.run_card import Section, balance, brief, run_sections, to_html, to_markdown
from idgen.report.status import read_json
from idgen.report.thumbnails import Addresses, ReadPhoto, make_thumbnails, photo_name, result_name
from idgen.stores.protocol import ObjectStore
from idgen.values import Cell

_SCRIPTS = ("rows.js", "inputs.js", "cards.js", "dialog.js", "app.js")
_TO_OUTPUT = "../../../"  # from runs/<run_id>/report/index.html to the output
_FLOATS = tuple(name for name, type_ in COLUMNS.items() if pa.types.is_floating(type_))
_POINT_NUMBERS = 10
_PLACE = re.compile(r"\{\{(\w+)\}\}")


def write_report(
    store: ObjectStore,
    run_id: str,
    config: ReportConfig,
    *,
    notes: Sequence[str] = (),
    summary: Mapping[str, object] | None = None,
    references: ReadPhoto | None = None,
    addresses: Addresses | None = None,
) -> str:
    """Write runs/<run_id>/report/ (index.html, run_card.md, thumbs/, refs/) and return index.html's path in the store.

    `summary` is what summary.json holds or will hold; None reads it, and a run without one is shown all the same.
    `references` and `addresses` as in thumbnails.make_thumbnails. RunError(USAGE) without results.parquet;
    StoreError when the store does not take the page.
    """
    folder = run_folder(run_id)
    shown = read_results(store, run_id, config.max_rows)
    if summary is None:
        summary = read_json(store, f"{folder}/summary.json") if store.head(f"{folder}/summary.json") else {}
    thumbnails = make_thumbnails(
        store,
        run_id,
        shown.table,
        side_px=config.thumbnail_px,
        references=references if config.references else None,
        addresses=addresses,
    )
    sections = run_sections(shown.tally, summary)
    links = [name for name in ("results.parquet", "failed.parquet", "summary.json") if _linked(store, folder, name)]
    page = build_page(run_id, shown, thumbnails, sections=sections, brief=brief(summary), notes=notes, links=links)
    card = to_markdown(run_id, sections, notes)
    store.put(f"{folder}/report/run_card.md", card.encode(), content_type="text/markdown; charset=utf-8")
    store.put(f"{folder}/report/index.html", page.encode(), content_type="text/html; charset=utf-8")
    return f"{folder}/report/index.html"


def build_page(
    run_id: str,
    shown: RunResults,
    thumbnails: set[str],
    *,
    sections: Sequence[Section] = (),
    brief: str = "",
    notes: Sequence[str] = (),
    links: Sequence[str] = (),
) -> str:
    """Return the whole page as HTML; `thumbnails` are the paths that exist inside the report folder."""
    style, script = _resource("style.css"), "\n".join(_resource(name) for name in _SCRIPTS)
    world = next((name for name in ("tiny", "drawn") for note in notes if f"{name} world" in note.lower()), "")
    return _fill(
        _resource("index.html"),
        {
            "policy": _policy(style, script),
            "style": style,
            "script": script,
            "title": html.escape(f"{run_id}: pictures" + (f" from the {world} world" if world else "")),
            "heading": html.escape(f"Pictures from the {world} world" if world else "Pictures"),
            "run_id": html.escape(run_id),
            "account": html.escape(balance(shown.tally)),
            "notes": "".join(f"<p>{html.escape(note)}</p>" for note in notes),
            "brief": html.escape(brief),
            "card": to_html(sections),
            "links": "".join(f'<a href="../{name}" download>{name}</a>' for name in links),
            "data": page_json(run_id, shown, thumbnails),
        },
    )


def page_json(run_id: str, shown: RunResults, thumbnails: set[str]) -> str:
    """Return the page's data as JSON that may stand inside a script element: no <, > or & and no line separators."""
    columns = {name: _packed(values) for name, values in _columns(shown.table, thumbnails).items()}
    data = {
        "run_id": run_id,
        "rows": shown.table.num_rows,
        "tally": {**asdict(shown.tally), "unfinished": shown.tally.unfinished},
        "statuses": STATUSES,
        "problems": shown.problems,
        "codes": {code: _code_facts(code) for code in sorted({*shown.problems, *shown.table["code"].to_pylist()})},
        "columns": columns,
        "labels": {name: BY_NAME[name].shown_as for name in LABELS},
        "findings": {column.name: in_words(column.name) for column in FINDING_COLUMNS},
        "images": {name: BY_NAME[name].shown_as for name in IMAGES},
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return re.sub(r"[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _columns(table: pa.Table, thumbnails: set[str]) -> dict[str, list[Cell]]:
    """The table's columns as the script reads them: links made here, non-finite numbers as null."""
    columns: dict[str, list[Cell]] = {name: table.column(name).to_pylist() for name in COLUMNS}
    for name in _FLOATS:
        columns[name] = [round(value, 3) if _finite(value) else None for value in columns[name]]
    columns["seed"] = [None if value is None else str(value) for value in columns["seed"]]  # beyond 2**53 in JSON
    columns["thumb"] = [result_name(key) in thumbnails and result_name(key) != "" for key in columns["key"]]
    columns["image_path"] = [path and _TO_OUTPUT + quote(path) for path in columns["image_path"]]
    columns["reference_thumbs"] = [
        [name if (name := photo_name(uri)) in thumbnails else "" for uri in uris or ()]
        for uris in columns["reference_uris"]
    ]
    columns["inputs"] = [_inputs(settings, thumbnails) for settings in columns["settings"]]
    columns["target_keypoints"] = [_points(numbers) for numbers in columns["target_keypoints"]]
    return columns


def _inputs(settings: str, thumbnails: set[str]) -> list[list[str]]:
    """[column, thumbnail or ""] of each further picture that the row was made of; its address stands in `settings`."""
    names = {column: photo_name(uri, ground_of(column)) for column, uri in inputs_of(settings).items()}
    return [[column, name if name in thumbnails else ""] for column, name in names.items()]


def _points(numbers: list[float | None] | None) -> list[float] | None:
    """x and y of the face's five points in tenths of a pixel; None unless all are there."""
    found = [round(number, 1) for number in numbers or () if number is not None and _finite(number)]
    return found if len(found) == _POINT_NUMBERS else None


def _packed(values: list[object]) -> list[object] | dict[str, list[object]]:
    """The column as it is, or, when values repeat, its distinct values and where each stands."""
    marks = [json.dumps(value) for value in values]
    distinct = {mark: at for at, mark in enumerate(dict.fromkeys(marks))}
    if 2 * len(distinct) > len(marks):
        return values
    return {"values": [json.loads(mark) for mark in distinct], "at": [distinct[mark] for mark in marks]}


def _code_facts(code: str) -> dict[str, object]:
    if code not in CODES:  # of a newer idgen, or none
        return {"meaning": code, "what_to_do": "", "retriable": False}
    facts = CODES[Code(code)]
    return {"meaning": facts.meaning, "what_to_do": facts.what_to_do, "retriable": facts.retriable}


def _policy(style: str, script: str) -> str:
    """Nothing but this page's own style, script and pictures beside it; nothing may leave it."""
    return (
        f"default-src 'none'; img-src 'self'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _fill(template: str, values: Mapping[str, str]) -> str:
    """Put values into {{places}} in one pass, so that no value is read as a place."""
    return _PLACE.sub(lambda found: values[found[1]], template)


def _resource(name: str) -> str:
    return (files("idgen.report") / "page" / name).read_text(encoding="utf-8").replace("\r\n", "\n")


def _linked(store: ObjectStore, folder: str, name: str) -> bool:
    """Whether to link it; summary.json is written after the report."""
    return name == "summary.json" or store.head(f"{folder}/{name}") is not None


def _finite(value: float | None) -> bool:
    return value is not None and value - value == 0
