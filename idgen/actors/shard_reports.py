"""What the sampling actor reports about a shard: one row of COUNTS to the driver, outcomes to the monitor."""

import json
from collections.abc import Mapping, Sequence
from typing import cast

import pyarrow as pa

from idgen.actors.monitor import Published
from idgen.columns import IMAGES, LOOK_IMAGE
from idgen.errors import Code
from idgen.schemas import COUNTS


def counts(
    shard: str, rows: int, *, published: int = 0, already: int = 0, left: int = 0, seconds: float = 0.0
) -> pa.Table:
    """Return the shard's row of COUNTS."""
    values = (shard, rows, published, already, left, seconds)
    return pa.table([[value] for value in values], schema=COUNTS)


def told(part: Mapping[str, object]) -> Published:
    """Return what the monitor hears of `part`, a row of the ledger, where all images but the references stand among the
    settings.

    Its photo is the file that failed, where the detail begins with that file's column: a store that refuses every
    control map must stop the run although all rows show one person. Of a picture that the output's store failed it is
    the picture: a store that takes none must stop the run, whoever is on them.
    """
    settings: dict[str, str] = json.loads(str(part["settings"]))
    column = str(part["detail"]).partition(":")[0]
    failed = settings.get(column) if column in IMAGES else None
    references = cast(Sequence[str], part["reference_uris"] or ())
    photo = failed or next(iter(references), settings.get(LOOK_IMAGE) or str(part["key"]))
    if part["code"] in (Code.STORE_FAILED, Code.TEXT_MISSING):
        photo = str(part["key"])
    return Published(str(part["status"]), str(part["code"]), photo, str(part["verdict"] or ""))
