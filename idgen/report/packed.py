"""The gallery as one file for sending: report.zip, whose folder opens by its index.html wherever it is unpacked.

Inside, everything stands below the page: its files, the thumbnails of its pictures and, when asked for, the pictures.
"""

import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice

from idgen.report.gallery import Gallery, build_page
from idgen.report.rows import run_folder
from idgen.scratch import scratch_folder
from idgen.stores.protocol import ObjectMissing, ObjectStore

_READERS = 8
_NO_GAIN = (".webp", ".png", ".jpg")


def write_zip(store: ObjectStore, gallery: Gallery, *, images: bool = False) -> str:
    """Write runs/<run_id>/report/report.zip, with the full pictures if `images`, and return its path in the store.

    A picture or thumbnail that is gone is left out. Raises StoreError.
    """
    folder = f"{run_folder(gallery.data.run_id)}/report"
    alone = replace(gallery, data=replace(gallery.data, to_output="", full_images=images), links=())
    with scratch_folder("zip-") as scratch:
        path = scratch / "report.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in (*alone.files(), ("index.html", build_page(alone))):
                archive.writestr(f"{gallery.data.run_id}/{name}", text, zipfile.ZIP_DEFLATED)
            for name, data in _objects(store, folder, alone, images):
                kind = zipfile.ZIP_STORED if name.endswith(_NO_GAIN) else zipfile.ZIP_DEFLATED
                archive.writestr(f"{gallery.data.run_id}/{name}", data, kind)
        store.put_file(f"{folder}/report.zip", path, content_type="application/zip")
    return f"{folder}/report.zip"


def _objects(store: ObjectStore, folder: str, gallery: Gallery, images: bool) -> Iterator[tuple[str, bytes]]:
    """Name in the archive and bytes of each thumbnail and picture, a few at a time."""
    where = {name: f"{folder}/{name}" if name.startswith("refs/") else name for name in sorted(gallery.data.thumbnails)}
    where |= {path: path for path in gallery.data.image_paths()} if images else {}
    names = iter(where.items())
    with ThreadPoolExecutor(_READERS, thread_name_prefix="zip") as pool:
        while some := list(islice(names, 4 * _READERS)):
            found = pool.map(lambda item: _read(store, item[1]), some)
            yield from ((name, data) for (name, _), data in zip(some, found, strict=True) if data)


def _read(store: ObjectStore, path: str) -> bytes:
    try:
        return store.get(path)
    except ObjectMissing:
        return b""
