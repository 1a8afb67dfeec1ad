"""The whole road, as people take it: a manifest, one command, pictures in a store."""

import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from doubles import http_server
from doubles.catalogue import PEOPLE, PHOTOS, Catalogue
from PIL import Image

from idgen.stores.opening import open_store

pytestmark = pytest.mark.cluster
CANARY = "c4n4ry51gn4tur3"


def test_from_s3_to_s3_with_two_load_groups_on_one_actor(tmp_path, s3_bucket):
    shop = Catalogue(tmp_path, f"s3://{s3_bucket}/catalogue")
    photos = open_store(f"s3://{s3_bucket}/photos")
    for person in PEOPLE[:3]:
        photos.put(f"{person}.png", (PHOTOS / f"{person}.png").read_bytes())
    rows = [
        {"row_id": f"{person}-{prompt}-{lora}", "photo": photos.uri(f"{person}.png"), "prompt": prompt,
         "lora_scale": lora, "seed": 7}
        for lora in (1.0, 0.5) for person in PEOPLE[:3] for prompt in ("garden", "street")
    ]  # fmt: skip
    shop.write([*rows, {"row_id": "gone", "photo": photos.uri("gone.png"), "prompt": "garden", "lora_scale": 1.0}])
    shop.run()
    store = open_store(shop.output)
    (run_id,) = {info.path.split("/")[1] for info in store.list("runs/")}
    summary = json.loads(store.get(f"runs/{run_id}/summary.json"))
    assert summary["ok"] == 12
    assert summary["codes"] == {"reference_missing": 1}
    work = summary["work"]
    assert work["loads"] == 2, "two configurations, one actor"
    assert work["face_analyses"] == 3, "once per person, over both shards"
    assert work["token_projections"] == 2 * 3, "once per person and load"
    assert work["prompt_encodings"] == 2 * 3, "two prompts and the negative one, per load"
    results = pq.read_table(io.BytesIO(store.get(f"runs/{run_id}/results.parquet"))).to_pylist()
    assert [row["row_id"] for row in results] == [row["row_id"] for row in rows] + ["gone"]
    pictures = {row["row_id"]: picture(store.get(row["image_path"])) for row in results if row["status"] == "ok"}
    assert all(image.shape == (128, 128, 3) for image in pictures.values())
    differ = np.abs(pictures["ada-garden-1.0"].astype(int) - pictures["ben-garden-1.0"])
    assert differ.mean() > 1, "another person, another picture"
    assert store.head(f"runs/{run_id}/_SUCCESS")
    assert store.head("lease.json") is None
    assert not [info for info in store.list(f"runs/{run_id}/plan/") if info.path.endswith(".parquet")]


def test_bad_rows_cost_only_themselves_and_signatures_are_written_nowhere(tmp_path):
    shop = Catalogue(tmp_path)
    with http_server.HttpServer() as server:
        server.routes["/face.png"] = http_server.answer(body=(PHOTOS / "ada.png").read_bytes())
        signed = server.url(f"/face.png?v=2&X-Amz-Signature={CANARY}")
        rows = [
            {"row_id": "signed", "photo": signed, "prompt": "garden", "num_images": 2, "output_name": "a/signed"},
            {"row_id": "twice", "photo": signed.replace(CANARY, CANARY + "2"), "prompt": "garden"},
            {"row_id": "no-face", "photo": str(PHOTOS / "no-face.png"), "prompt": "garden"},
            {"row_id": "corrupt", "photo": str(PHOTOS / "corrupt.png"), "prompt": "garden"},
            {"row_id": "metadata", "photo": "http://169.254.169.254/x.png", "prompt": "garden"},
            {"row_id": "outside", "photo": "file:///etc/passwd", "prompt": "garden"},
            {"row_id": "no-prompt", "photo": "ada", "prompt": None},
            {"row_id": "bad-size", "photo": "ada", "prompt": "garden", "width": 130},
            {"row_id": "elsewhere", "photo": "ada", "prompt": "garden", "shortcut_scale": 0.5},
        ]
        shop.write(rows)
        shop.run(f"sources.private_hosts=[127.0.0.1:{server.port}]", "report.enabled=true")
    results = shop.results()
    codes = {name: (row["status"], row["code"]) for name, row in results.items() if row["code"]}
    assert codes == {
        "no-face": ("rejected", "no_face"),
        "corrupt": ("rejected", "image_corrupt"),
        "metadata": ("rejected", "uri_forbidden"),
        "outside": ("rejected", "uri_forbidden"),
        "no-prompt": ("rejected", "missing_value"),
        "bad-size": ("rejected", "bad_value"),
        "elsewhere": ("rejected", "column_not_used"),
    }
    assert results["twice"]["duplicate_of"] == "signed", "tonight's signature is no other photo"
    assert Counter(shop.statuses().values()) == {"ok": 2, "rejected": 7}
    named = sorted(path.name for path in Path(shop.output, "named").rglob("*.png"))
    assert named == ["signed_00.png", "signed_01.png"]
    assert not canary_in(Path(shop.output))
    assert "nothing to do" in shop.run(f"sources.private_hosts=[127.0.0.1:{server.port}]")
    failed = max(Path(shop.output, "runs").glob("*/failed.parquet"))
    assert len(pq.read_table(failed)) == 7


def picture(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def canary_in(folder):
    """Files that hold the canary, in plain bytes or in a Parquet cell."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_bytes()
            if path.suffix == ".parquet":
                text += str(pq.read_table(path).to_pylist()).encode()
            if CANARY.encode() in text:
                found.append(path)
    return found
