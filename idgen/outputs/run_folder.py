"""A run's own folder, runs/<run_id>/: what people and schedulers read. Whatever goes in is redacted here once more."""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

import yaml

from idgen.config import SourcesConfig
from idgen.errors import Exit, RunError
from idgen.sources.redact import redact_text
from idgen.stores.protocol import ObjectStore, StoreError

log = logging.getLogger(__name__)

SUCCESS = "_SUCCESS"
CONFIG = "config.yaml"
_RUN_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}", re.ASCII)


class RunFolder:
    """Writes the small files of one run. Methods raise StoreError where they do not say otherwise.

    `signature_parameters` (those of the run's SourcesConfig) are dropped from all text beside the usual ones.
    """

    def __init__(self, store: ObjectStore, run_id: str, *, signature_parameters: Sequence[str] = ()) -> None:
        if not _RUN_ID.fullmatch(run_id):
            raise RunError(Exit.USAGE, "run.id: letters, digits, '.', '_', '-', no leading dot, at most 128")
        self.store = store
        self.run_id = run_id
        self.path = f"runs/{run_id}"
        self._parameters = tuple(dict.fromkeys([*SourcesConfig().hidden_parameters, *signature_parameters]))

    def file(self, name: str) -> str:
        """Return the path in the store of a file of this run."""
        return f"{self.path}/{name}"

    def has_begun(self) -> bool:
        """Whether a run of this name has begun to make pictures, and not only planned."""
        return self.store.head(self.file(CONFIG)) is not None

    def has_ended(self) -> bool:
        """Whether a run of this name is done: a summary alone is also of one that was killed before its last files."""
        return self.store.head(self.file(SUCCESS)) is not None

    def write_config(self, config: Mapping[str, object]) -> None:
        """Write config.yaml: the resolved configuration with versions, commit and hash, as plain dicts and lists."""
        text = yaml.safe_dump(self.redacted(config), sort_keys=False, allow_unicode=True, width=120)
        self.store.put(self.file(CONFIG), text.encode(), content_type="application/yaml")

    def write_progress(self, progress: Mapping[str, object]) -> None:
        """Replace progress.json."""
        self.write_json("progress.json", progress)

    def write_json(self, name: str, content: Mapping[str, object]) -> None:
        """Write one JSON file of the run; datetimes become ISO text."""
        data = json.dumps(self.redacted(content), indent=1, ensure_ascii=False).encode()
        self.store.put(self.file(name), data, content_type="application/json")

    def finish(self, summary: Mapping[str, object]) -> None:
        """Write summary.json and, for `exit_code` 0, _SUCCESS."""
        self.write_json("summary.json", summary)
        if summary["exit_code"] == Exit.OK:
            self.store.put(self.file(SUCCESS), b"")

    def delete_shards(self) -> bool:
        """Remove plan/*.parquet, which hold addresses with their signatures; summary.json and refused.csv stay.

        For every end of a run, so it raises nothing: False, and a line in the log, when the store did not do it.
        """
        try:
            plan = [found.path for found in self.store.list(self.file("plan/"))]
            self.store.delete(path for path in plan if path.endswith(".parquet"))
        except StoreError as error:
            log.warning("%s still holds signed addresses: %s", self.store.uri(self.file("plan")), error)
            return False
        return True

    def redacted(self, value: object) -> object:
        """Return plain JSON data without credentials in any text, keys included; datetimes become ISO text."""
        if isinstance(value, str):
            return redact_text(value, self._parameters)
        if isinstance(value, Mapping):
            return {redact_text(str(name), self._parameters): self.redacted(item) for name, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.redacted(item) for item in value]
        if isinstance(value, datetime):
            return value.astimezone(UTC).isoformat()
        if isinstance(value, date):
            return value.isoformat()
        return value
