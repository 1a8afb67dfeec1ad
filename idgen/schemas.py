"""The schemas of the tables that pass between plan, faces, sampling and ledger.

Picture = manifest row x image index. One row of `PICTURES` per picture; `faces` adds `IDENTITY`; the sampler writes
`LEDGER` rows and passes one `COUNTS` row per shard on. An empty error is "", never null.
"""

from typing import Literal, TypedDict

import pyarrow as pa

from idgen.checks.table import FINDING_COLUMNS
from idgen.columns import LABELS, MANIFEST_FIELDS

EMBEDDING_WIDTH = 512
"""Numbers of a face's embedding: every face pack gives, and every adapter reads, as many as ArcFace."""

STATE = [
    pa.field("status", pa.string(), nullable=False),  # "" while on its way
    pa.field("code", pa.string(), nullable=False),
    pa.field("detail", pa.string(), nullable=False),
    pa.field("stage", pa.string(), nullable=False),  # plan | faces | sample | publish
]

PICTURES = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),  # row number in the manifest, from 0
        pa.field("image_index", pa.int32(), nullable=False),
        pa.field("attempt", pa.int32(), nullable=False),  # this try's number, from 1, over all runs
        pa.field("replaces", pa.string(), nullable=False),  # key of the picture this one takes the place of
        pa.field("recipe_hash", pa.string(), nullable=False),  # resolved recipe with its weights' identity
        pa.field("load_group", pa.string(), nullable=False),  # what makes an actor load
        pa.field("bucket", pa.string(), nullable=False),  # what may share a batch
        pa.field("carried", pa.string(), nullable=False),  # JSON object of the shop's own columns
        *STATE,
        *MANIFEST_FIELDS,  # resolved: defaults filled in, null only where the recipe has no such setting
    ]
)
"""A shard of the plan: one row group of a file in runs/<run_id>/plan/."""

_SHARED = pa.dictionary(
    pa.int32(), pa.large_binary()
)  # rows that share a crop or a map hold it once; large: 2 GB may not be enough

IDENTITY = [
    pa.field("id_embedding", pa.list_(pa.float32())),  # n references x EMBEDDING_WIDTH, raw (not normalised), flattened
    pa.field("judge_embedding", pa.list_(pa.float32())),  # n x the judge's width; null without a judge
    pa.field("reference_box", pa.list_(pa.float32())),  # n x 4, xyxy pixels of the upright photo
    pa.field("reference_keypoints", pa.list_(pa.float32())),  # n x 10
    pa.field("reference_score", pa.list_(pa.float32())),  # n, the detector's
    pa.field("reference_faces", pa.list_(pa.int32())),  # n, faces found in each photo
    pa.field("reference_size", pa.list_(pa.int32())),  # n x 2, width and height
    pa.field("reference_digest", pa.list_(pa.string())),  # n, sha256 of the bytes that were fetched
    pa.field("warnings", pa.list_(pa.string())),
    pa.field("crops", pa.map_(pa.string(), pa.list_(_SHARED))),  # variants.PictureNeed.name -> n x raw bytes
    pa.field("target_keypoints", pa.list_(pa.float32())),  # 10, pixels of the picture: where IdentityNet wants the face
    pa.field("images", pa.map_(pa.string(), _SHARED)),  # column of an input image -> PNG at the output's size
]
"""`id_embedding` and the rest of `reference_*` are null where no face is looked for, `reference_size` and
`reference_digest` where there is no reference."""
SHARD = pa.field("shard", pa.string(), nullable=False)

ANALYSED = pa.schema([SHARD, *PICTURES, *IDENTITY])
"""What the faces stage hands to the sampler."""


class PictureRow(TypedDict, total=False):
    """A row of ANALYSED as Python values: the columns that are read by name. Pixels may be left out."""

    key: str
    image_index: int
    load_group: str
    status: str
    code: str
    detail: str
    recipe: str
    reference_uri: str | None
    reference_uris: list[str] | None
    prompt: str | None
    negative_prompt: str | None
    num_images: int | None
    seed: int
    tries: int | None
    width: int
    height: int
    num_inference_steps: int
    scheduler: str
    guidance_scale: float
    ip_adapter_scale: float | None
    ip_adapter_scales: list[tuple[str, float]] | None
    lora_scale: float
    face_pass: str | None
    strength: float | None
    paste_back: bool | None
    output_name: str | None
    output_format: Literal["png", "jpeg", "webp"] | None
    id_embedding: list[float] | None
    judge_embedding: list[float] | None
    reference_score: list[float] | None
    shot: str | None
    warnings: list[str] | None
    crops: list[tuple[str, list[bytes]]] | None
    target_keypoints: list[float] | None
    images: list[tuple[str, bytes]] | None


PACKED = pa.schema([SHARD, pa.field("table", pa.large_binary(), nullable=False)])
"""A whole shard of ANALYSED as one row, as it travels (actors/packing.py)."""

_FIRST_LABELS = ("sku", "person_id", "shot")
"""Columns of every ledger there is; of a label that came later, older parts have nothing to say."""

LEDGER = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),  # ok | rejected | failed
        pa.field("code", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("retriable", pa.bool_(), nullable=False),
        pa.field("attempt", pa.int32(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("shard_try", pa.int32(), nullable=False),
        pa.field("finished_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("image_index", pa.int32(), nullable=False),
        pa.field("replaces", pa.string(), nullable=False),
        pa.field("recipe", pa.string(), nullable=False),
        pa.field("recipe_hash", pa.string(), nullable=False),
        pa.field("image_path", pa.string(), nullable=False),  # relative to the output, "" without an image
        pa.field("image_sha256", pa.string(), nullable=False),
        pa.field("image_bytes", pa.int64(), nullable=False),
        pa.field("image_format", pa.string(), nullable=False),
        pa.field("output_name", pa.string(), nullable=False),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("seed", pa.int64()),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("negative_prompt", pa.string(), nullable=False),
        pa.field("settings", pa.string(), nullable=False),  # JSON object of every other resolved setting
        pa.field("reference_uris", pa.list_(pa.string())),  # redacted
        pa.field("reference_digest", pa.list_(pa.string())),
        pa.field("reference_box", pa.list_(pa.float32())),
        pa.field("reference_score", pa.list_(pa.float32())),
        pa.field("reference_faces", pa.list_(pa.int32())),
        pa.field("target_keypoints", pa.list_(pa.float32())),  # 10, pixels of the picture
        *(pa.field(column.name, column.type) for column in FINDING_COLUMNS),  # what the checks say
        pa.field("verdict", pa.string()),  # ok | warn | held, "" without a picture; null in ledgers from before
        pa.field("tries_made", pa.string()),  # JSON list of seed, verdict and measures of each try; "" for one alone
        pa.field("warnings", pa.list_(pa.string())),
        pa.field("seconds", pa.float32()),  # of sampling, this picture's share of its batch
        pa.field("batch_rows", pa.int32()),  # rows of the batch it was sampled in
        *(pa.field(name, pa.string(), nullable=name not in _FIRST_LABELS) for name in LABELS),
        pa.field("carried", pa.string(), nullable=False),
        pa.field("idgen_version", pa.string(), nullable=False),
    ]
)
"""The truth of "done". One part file per published batch, see outputs/ledger.py."""

COUNTS = pa.schema(
    [
        SHARD,
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("published", pa.int64(), nullable=False),  # ledger rows this try wrote
        pa.field("already", pa.int64(), nullable=False),  # written by an earlier try of this shard
        pa.field("left", pa.int64(), nullable=False),  # not begun, because the run was asked to stop
        pa.field("seconds", pa.float64(), nullable=False),
    ]
)
"""One small row per shard: all that comes back to the driver. Work counts (loads, encodings) go to the monitor."""

TEXT_COUNTS = pa.schema(
    [
        pa.field("block", pa.string(), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),  # prompts
        pa.field("left", pa.int64(), nullable=False),  # not begun, because the run was asked to stop
        pa.field("failed", pa.map_(pa.string(), pa.string()), nullable=False),  # path of a text -> code
        pa.field("node", pa.string(), nullable=False),  # of the worker, with its process: the driver waits for its end
        pa.field("pid", pa.int64(), nullable=False),
    ]
)
"""One row per block of prompts that were encoded ahead."""
