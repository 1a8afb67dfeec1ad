"""The gallery of a run: one static page with every picture, what it was made of, and what to do about the others.

The page works from a folder and from an object store. All text enters the document as text. The page's one style sheet
and its one script are named by hash in its Content-Security-Policy. Of a large run, files beside the page hold what
only some pictures need (page_data.py); they are scripts, because a page from a folder may fetch nothing else, and
browsers cannot check a hash of a file in a folder. So the policy lets in only script elements that carry a number drawn
for this page, and a Trusted Types policy only addresses of these files.
"""

import base64
import hashlib
import html
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files as package_files
from itertools import islice
from typing import TypedDict, Unpack

from idgen.config import ReportConfig
from idgen.report.page_data import PageData
from idgen.report.rows import read_results, run_folder
from idgen.report.run_card import Section, balance, brief, run_sections, to_html, to_markdown
from idgen.report.status import read_json
from idgen.report.thumbnails import Addresses, ReadPhoto, make_thumbnails
from idgen.stores.protocol import ObjectStore

_SCRIPTS = (
    "data.js", "elements.js", "rows.js", "orders.js", "groups.js", "inputs.js", "decisions.js", "export.js", "cards.js",
    "compare.js", "stage.js", "facts.js", "viewer.js", "next.js", "choices.js", "app.js", "keys.js",
)  # fmt: skip
_WRITERS = 8
_KEYS = 9  # reasons are chosen with the keys 1 to 9
_PLACE = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """A page before it is written: what is told of the run, and its rows with their thumbnails."""

    data: PageData
    sections: Sequence[Section] = ()
    brief: str = ""
    notes: Sequence[str] = ()
    links: Sequence[str] = ()

    def files(self) -> Iterator[tuple[str, str]]:
        """Yield name and text of every file beside index.html."""
        yield from self.data.files()
        yield "run_card.md", to_markdown(self.data.run_id, self.sections, self.notes)


class Sources(TypedDict, total=False):
    """What a gallery is made of besides the run's results."""

    notes: Sequence[str]
    summary: Mapping[str, object] | None
    """What summary.json holds or will hold; None reads it, and a run without one is shown all the same."""
    references: ReadPhoto | None
    """As in thumbnails.make_thumbnails, like `addresses`."""
    addresses: Addresses | None
    stopping: Callable[[], bool]
    """Whether a stop was asked for: no thumbnail is begun any more."""


def write_report(store: ObjectStore, run_id: str, config: ReportConfig, **sources: Unpack[Sources]) -> str:
    """Write runs/<run_id>/report/ (index.html, run_card.md, refs/, details/) and return index.html's path in the store.

    Arguments and errors are those of `read_gallery`; StoreError when the store does not take the page.
    """
    return write_gallery(store, read_gallery(store, run_id, config, **sources))


def write_gallery(store: ObjectStore, gallery: Gallery) -> str:
    """Write the page and all files beside it; return the page's path. StoreError when the store does not take them."""
    folder = f"{run_folder(gallery.data.run_id)}/report"
    files = gallery.files()
    with ThreadPoolExecutor(_WRITERS, thread_name_prefix="report") as pool:
        while some := list(islice(files, 4 * _WRITERS)):  # so that few are in memory
            list(pool.map(lambda file: _put(store, f"{folder}/{file[0]}", file[1]), some))
    _put(store, f"{folder}/index.html", build_page(gallery))  # last: it needs the others
    return f"{folder}/index.html"


def read_gallery(store: ObjectStore, run_id: str, config: ReportConfig, **sources: Unpack[Sources]) -> Gallery:
    """Read a run's results, make the thumbnails that are missing, and return its gallery.

    RunError(USAGE) without results.parquet.
    """
    folder = run_folder(run_id)
    summary = sources.get("summary")
    shown = read_results(store, run_id, config.max_rows)
    if summary is None:
        summary = read_json(store, f"{folder}/summary.json") if store.head(f"{folder}/summary.json") else {}
    thumbnails = make_thumbnails(
        store,
        run_id,
        shown.table,
        side_px=config.thumbnail_px,
        references=sources.get("references") if config.references else None,
        addresses=sources.get("addresses"),
        stopping=sources.get("stopping", lambda: False),
    )
    names = ("results.parquet", "failed.parquet", "summary.json")
    return Gallery(
        data=PageData(
            run_id=run_id, output=store.root, shown=shown, thumbnails=thumbnails, reasons=tuple(config.reasons[:_KEYS])
        ),
        sections=run_sections(shown.tally, summary),
        brief=brief(summary),
        notes=sources.get("notes", ()),
        links=[name for name in names if _linked(store, folder, name)],
    )


def build_page(gallery: Gallery) -> str:
    """Return the whole page as HTML."""
    data, notes = gallery.data, gallery.notes
    style, script = _resource("style.css"), "\n".join(_resource(name) for name in _SCRIPTS)
    nonce = secrets.token_urlsafe(18) if data.in_files else ""
    world = next((name for name in ("tiny", "drawn") for note in notes if f"{name} world" in note.lower()), "")
    return _fill(
        _resource("index.html"),
        {
            "policy": _policy(style, script, nonce),
            "style": style,
            "nonce": nonce,
            "script": script,
            "title": html.escape(f"{data.run_id}: pictures" + (f" from the {world} world" if world else "")),
            "heading": html.escape(f"Pictures from the {world} world" if world else "Pictures"),
            "run_id": html.escape(data.run_id),
            "account": html.escape(balance(data.shown.tally)),
            "notes": "".join(f"<p>{html.escape(note)}</p>" for note in notes),
            "brief": html.escape(gallery.brief),
            "card": to_html(gallery.sections),
            "links": "".join(f'<a href="../{name}" download>{name}</a>' for name in gallery.links),
            "data": data.json(),
        },
    )


def _policy(style: str, script: str, nonce: str) -> str:
    """Nothing but this page's own style and script, pictures beside it, and files of its data; nothing may leave it."""
    files, types = (f" 'nonce-{nonce}'", "idgen-data") if nonce else ("", "'none'")
    return (
        f"default-src 'none'; img-src 'self'; style-src {_hash(style)}; script-src {_hash(script)}{files}; "
        f"base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types {types}"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _fill(template: str, values: Mapping[str, str]) -> str:
    """Put values into {{places}} in one pass, so that no value is read as a place."""
    return _PLACE.sub(lambda found: values[found[1]], template)


def _resource(name: str) -> str:
    return (package_files("idgen.report") / "page" / name).read_text(encoding="utf-8").replace("\r\n", "\n")


def _linked(store: ObjectStore, folder: str, name: str) -> bool:
    """Whether to link it; summary.json is written after the report."""
    return name == "summary.json" or store.head(f"{folder}/{name}") is not None


def _put(store: ObjectStore, path: str, text: str) -> None:
    kinds = {"html": "text/html", "js": "text/javascript", "md": "text/markdown"}
    store.put(path, text.encode(), content_type=f"{kinds[path.rpartition('.')[2]]}; charset=utf-8")
