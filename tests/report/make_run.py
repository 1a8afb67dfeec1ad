"""Runs made up for the report's tests: real Parquet files and real pictures in a real store."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from idgen.errors import CODES, Code
from idgen.stores.local import LocalStore
from idgen.stores.protocol import ObjectStore

RUN = "20261012-140300-4711"
BAD = [Code.NO_FACE, Code.REFERENCE_MISSING, Code.FACE_TOO_SMALL, Code.FETCH_TIMEOUT, Code.WORKER_CRASHED]
PLACES = [
    "by the sea at dusk",
    "in a bright studio",
    "on a rooftop in Lisbon",
    "in a pine forest",
    "at a street market",
]
CLOTHES = [
    "a linen summer dress",
    "a navy wool coat",
    "a white cotton shirt",
    "a quilted green jacket",
    "a knitted cardigan",
]

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("row_id", "key", "recipe", "status", "ledger_status", "code", "detail")),
        *((name, pa.string()) for name in ("what_to_do", "duplicate_of", "image_path", "prompt", "negative_prompt")),
        *((name, pa.string()) for name in ("settings", "sku", "person_id", "shot", "output_name", "carried")),
        *((name, pa.int32()) for name in ("image_index", "attempt", "width", "height")),
        ("seed", pa.int64()),
        *((name, pa.string()) for name in ("verdict", "decision", "decision_reason", "decided_by", "tries_made")),
        *((name, pa.string()) for name in ("previous_key", "previous_image_path", "named_path")),
        ("decided_at", pa.timestamp("us", tz="UTC")),
        ("near_duplicate_of", pa.int32()),
        ("face_pass_result", pa.string()),
        *((name, pa.float32()) for name in ("seconds", "face_similarity_before", "face_similarity")),
        *((name, pa.float32()) for name in ("face_similarity_least", "face_px", "sharpness", "clipped_fraction")),
        ("ground_deviation", pa.float32()),
        ("target_keypoints", pa.list_(pa.float32())),
        ("finished_at", pa.timestamp("us", tz="UTC")),
        ("warnings", pa.list_(pa.string())),
        ("reference_uris", pa.list_(pa.string())),
    ]
)


def key_of(number: int) -> str:
    return f"{number * 2654435761 % 2**128:032x}"[::-1]


def row(number: int, **changes: Any) -> dict[str, Any]:
    """One results row; every 11th is rejected or failed, every 7th was done before."""
    bad = BAD[number // 11 % len(BAD)] if number % 11 == 10 else None
    before = not bad and number % 7 == 3
    status = CODES[bad].status if bad else "skipped" if before else "ok"
    key = key_of(number)
    person = f"model-{number % 13:02d}"
    made = {
        "row_id": f"row-{number:05d}",
        "key": key,
        "recipe": "faceid-sd15" if number % 5 else "faceid-sd15-fast",
        "status": status,
        "ledger_status": "ok" if before else status,
        "code": bad or "",
        "detail": "2 faces looked for, 0 found" if bad else "",
        "what_to_do": CODES[bad].what_to_do if bad else "",
        "duplicate_of": "",
        "image_path": "" if bad else f"images/{key[:2]}/{key}.png",
        "prompt": f"{person} wearing {CLOTHES[number // 13 % 5]} {PLACES[number // 3 % 5]}, photo no. {number}",
        "negative_prompt": "lowres, bad anatomy",
        "settings": json.dumps({"guidance_scale": 7.5, "ip_adapter_scale": 0.8, "scheduler": "ddim"}),
        "sku": f"{number // 13 % 40:04d}",
        "person_id": person,
        "shot": ("front", "side", "detail")[number % 3],
        "output_name": f"spring/{number // 13 % 40:04d}/{person}",
        "carried": json.dumps({"season": "spring"}),
        "image_index": 0,
        "attempt": 1,
        "width": 512,
        "height": 768,
        "seed": 2**62 + number,
        "seconds": None if bad else 0.4 + number % 9 / 10,
        "finished_at": None,
        "warnings": ["the face covers 2 % of the photo"] if number % 17 == 5 else [],
        "reference_uris": [f"s3://people/{person}.jpg"],
    }
    return made | changes


POINTS = [200.0, 240.0, 300.0, 240.0, 250.0, 300.0, 210.0, 350.0, 290.0, 350.0]
"""Of a face in the middle of a picture of 512 x 768."""


def product_row(number: int, **changes: Any) -> dict[str, Any]:
    """A row of EcomID over a product photo: face pose photo, points, mask, soft edges, face pass, paste-back."""
    settings = {
        "control_inpaint_scale": 0.5,
        "control_softedge_scale": 0.6,
        "control_softedge_uri": f"s3://shop/edges-{number}.png",
        "controlnet_conditioning_scale": 0.8,
        "face_pose_uri": f"s3://shop/pose-{number}.jpg",
        "init_image_uri": f"s3://shop/product-{number}.jpg",
        "mask_image_uri": f"s3://shop/mask-{number}.png",
        "mask_mode": "repaint_white",
        "paste_back": True,
    }
    facts = {
        "recipe": "ecomid-inpaint-softedge",
        "settings": json.dumps(settings),
        "target_keypoints": POINTS,
        "face_pass_result": "done",
        "face_similarity_before": 0.412,
        "face_similarity": 0.78,
    }
    return row(number) | facts | changes


def picture(number: int, width: int = 192, height: int = 288) -> bytes:
    """A PNG with soft colours of its own."""
    rng = np.random.default_rng(number)
    top, bottom = rng.integers(60, 250, (2, 3))
    blend = np.linspace(0, 1, height)[:, None, None]
    pixels = np.broadcast_to(top * (1 - blend) + bottom * blend, (height, width, 3)).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def write_run(where: Path | ObjectStore, rows: list[dict[str, Any]], summary: dict[str, Any] | None = None) -> Any:
    """Put results.parquet (and summary.json) of run RUN under a folder and return its store; pictures are yours."""
    store = LocalStore(str(where)) if isinstance(where, Path) else where
    out = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), out, row_group_size=1000)
    store.put(f"runs/{RUN}/results.parquet", out.getvalue().to_pybytes())
    if summary is not None:
        store.put(f"runs/{RUN}/summary.json", json.dumps(summary).encode())
    return store


def put_pictures(store: ObjectStore, rows: list[dict[str, Any]], kinds: int = 40, **size: int) -> None:
    files = [picture(number, **size) for number in range(min(kinds, len(rows)))]
    for number, made in enumerate(rows):
        if made["image_path"]:
            store.put(made["image_path"], files[number % kinds])


class Portraits:
    """Reference photos by address; counts how often each is asked for, and lacks those it was not given."""

    def __init__(self, *, missing: frozenset[str] = frozenset()) -> None:
        self.asked: list[str] = []
        self.grounds: dict[str, str] = {}
        self.missing = missing

    def __call__(self, uri: str, ground: str = "white") -> np.ndarray[Any, np.dtype[np.uint8]]:
        self.asked.append(uri)
        self.grounds[uri] = ground
        if uri in self.missing:
            raise OSError("not here")
        rng = np.random.default_rng(sum(uri.encode()))
        return np.broadcast_to(rng.integers(60, 220, 3), (600, 480, 3)).astype(np.uint8)


SUMMARY = {
    "exit_code": 0,
    "started_at": "2026-10-12T14:03:00+00:00",
    "finished_at": "2026-10-12T15:20:00+00:00",
    "seconds": 4620,
    "images_per_s": 2.08,
    "gpu_hours": 1.28,
    "recipes": [
        {"name": "faceid-sd15", "licence": {"name": "research only", "commercial_use": False, "note": "face pack"}}
    ],
    "versions": {"torch": "2.13", "diffusers": "0.42.1"},
    "git_commit": "d2c1f39",
    "config_hash": "9f2c",
    "warnings": ["12 references are smaller than 800 px"],
}
