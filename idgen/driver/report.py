"""The job `report`: makes a run's gallery again, packs it, shows it in the browser of this machine."""

import os
import shlex
import sys

from idgen.config import Config
from idgen.driver.inspect import catalogue
from idgen.errors import Exit, RunError
from idgen.report.gallery import Gallery, read_gallery, write_gallery
from idgen.report.packed import write_zip
from idgen.report.serving import CatalogueServer
from idgen.report.status import run_ids
from idgen.report.thumbnails import photo_reader
from idgen.sources.redact import redact_text
from idgen.stores.protocol import ObjectStore
from idgen.stores.s3 import S3Store

_LONGEST_S = 7 * 86_400
_PORTS = 65_535


def report_job(config: Config) -> int:
    """Make the gallery of a run (default: the newest), print where it is, and do with it what `report` asks for."""
    store = catalogue(config)
    _check(config, store)
    run_id = _run_with_results(store, config)
    notes = [redact_text(note, config.sources.hidden_parameters) for note in config.notes]
    with photo_reader(config.sources, _roots(config)) as references:
        gallery = read_gallery(store, run_id, config.report, notes=notes, references=references)
    page = write_gallery(store, gallery)
    print(f"gallery: {store.uri(page)}")
    if config.report.zip or config.report.zip_images or config.report.presign_s:
        _pack(store, gallery, config)
    if config.report.serve:
        _serve(store, page, config.report.serve)
    return Exit.OK


def how_to_open(store: ObjectStore) -> str:
    """Return the command that shows a gallery which no browser can open where it is; "" for a folder."""
    return f"idgen report {shlex.quote(f'output={store.root}')} report.serve=8765" if isinstance(store, S3Store) else ""


def _check(config: Config, store: ObjectStore) -> None:
    asked = config.report
    if not 0 <= asked.serve <= _PORTS:
        raise RunError(Exit.USAGE, f"report.serve={asked.serve}: must be a port, 1 to {_PORTS}")
    if not 0 <= asked.presign_s <= _LONGEST_S:
        raise RunError(Exit.USAGE, f"report.presign_s={asked.presign_s}: S3 allows at most {_LONGEST_S} (seven days)")
    if asked.presign_s and not isinstance(store, S3Store):
        raise RunError(Exit.USAGE, "report.presign_s: only objects on S3 have such links; report.zip=true makes a file")


def _roots(config: Config) -> list[str]:
    """Return the folders that the run's references may lie in as its manifest does, or its one reference."""
    near = [path for path in (config.manifest, config.reference) if path and "://" not in path]
    places = [os.path.realpath(path) for path in near]
    return [place if os.path.isdir(place) else os.path.dirname(place) for place in places]


def _run_with_results(store: ObjectStore, config: Config) -> str:
    ids = [config.run.id] if config.run.id else run_ids(store)
    run_id = next((run_id for run_id in ids if store.head(f"runs/{run_id}/results.parquet")), "")
    if not run_id:
        raise RunError(Exit.USAGE, f"no run in {config.output} has results; runs there: {', '.join(ids[:5]) or 'none'}")
    return run_id


def _pack(store: ObjectStore, gallery: Gallery, config: Config) -> None:
    path = write_zip(store, gallery, images=config.report.zip_images)
    print(f"packed: {store.uri(path)}")
    if config.report.presign_s and isinstance(store, S3Store):
        hours = config.report.presign_s / 3600
        print(f"whoever has this link can open the packed gallery for {hours:g} h:")
        print(store.presigned(path, config.report.presign_s))


def _serve(store: ObjectStore, page: str, port: int) -> None:
    """Show the catalogue until Ctrl-C."""
    try:
        server = CatalogueServer(store, page, port)
    except OSError as error:
        raise RunError(Exit.USAGE, f"report.serve={port}: {error.strerror}; take another port") from None
    with server:
        print(f"open {server.link}   (Ctrl-C ends)")
        sys.stdout.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("ended")
