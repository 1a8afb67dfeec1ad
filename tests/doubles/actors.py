"""One shard's way through both actors as plain objects on a folder: the real face pack and tiny models, no Ray."""

import dataclasses
import io

import numpy as np
import pyarrow as pa
from doubles.catalogue import PHOTOS
from doubles.tiny_recipe import TINY
from PIL import Image

from idgen.actors.faces import FaceActor
from idgen.actors.facts import FaceSettings, RunFacts, SamplerSettings
from idgen.actors.monitor import MonitorState
from idgen.actors.sampler import SamplerActor
from idgen.checks.config import ChecksConfig
from idgen.config import FacesConfig, ImagesConfig, PlannerConfig, SamplingConfig, SourcesConfig
from idgen.manifest.shards import cut_stream, sizes, write_shards
from idgen.outputs.ledger import dataset
from idgen.schemas import PICTURES
from idgen.stores.opening import open_store
from idgen.weights import instruments

RUN = "run"
RECIPE = dataclasses.replace(TINY, face_pack=dataclasses.replace(TINY.face_pack, det_size_px=320), batch_size=4)
STATE = {"status": "", "code": "", "detail": "", "stage": ""}


def picture(number, photo="ada", **changes):
    fixed = {
        "key": f"{number:032x}", "position": number, "image_index": 0, "attempt": 1, "replaces": "", "recipe_hash": "h",
        "load_group": "g", "bucket": "b", "carried": "{}", **STATE, "row_id": f"r{number}", "recipe": "tiny",
        "reference_uris": [str(PHOTOS / f"{photo}.png")], "face_select": "largest", "prompt": f"prompt {number}",
        "negative_prompt": "", "num_images": 1, "seed": number, "width": 64, "height": 64, "num_inference_steps": 2,
        "scheduler": "ddim", "guidance_scale": 5.0, "ip_adapter_scale": 1.0, "lora_scale": 1.0, "output_format": "png",
    }  # fmt: skip
    return {**fixed, **changes}


class Line:
    """Both actors of a run in a folder."""

    def __init__(
        self, tmp_path, identities, sampling=None, gates=None, max_extra_pictures=-1, checks=None, recipe=RECIPE
    ):
        """`identities`: see RunFacts; `sampling`: SamplingConfig; `gates`, `checks` (ChecksConfig): the run's."""
        checks = checks or ChecksConfig()
        tmp_path.mkdir(exist_ok=True)
        self.store = open_store(str(tmp_path / "out"))
        self.monitor = MonitorState(0, max_extra_pictures)
        run = RunFacts(
            output=self.store.root,
            run_id=RUN,
            recipes={"tiny": recipe},
            identities=identities,
            signature_parameters=[],
            checks=checks,
            instruments=instruments.identity(checks, cache=None),
        )
        faces = FaceSettings(faces=FacesConfig(), sources=SourcesConfig(), roots=[str(PHOTOS)])
        self.faces = FaceActor(run, faces, self.monitor)
        sampler = SamplerSettings(
            sampling=sampling or SamplingConfig(num_gpus=0), images=ImagesConfig(), gates=gates or {}
        )
        self.sampler = SamplerActor(run, sampler, self.monitor)
        self._scratch = tmp_path

    def shard(self, pictures):
        table = pa.Table.from_pylist(pictures, schema=PICTURES).append_column(
            "reference", pa.array([""] * len(pictures))
        )
        cut = cut_stream(table.to_batches(), {"tiny": sizes(RECIPE, PlannerConfig(), 0)})
        (ref,) = write_shards(self.store, RUN, "", cut, self._scratch)
        return ref

    def analysed(self, pictures):
        return self.faces(pa.Table.from_pylist([dataclasses.asdict(self.shard(pictures))]))

    def run(self, pictures):
        (counts,) = self.sampler(self.analysed(pictures)).to_pylist()
        return counts

    def ledger(self):
        return {row["key"]: row for row in dataset(self.store).to_table().to_pylist()}


def pixels(line, key):
    return np.asarray(Image.open(io.BytesIO(line.store.get(line.ledger()[key]["image_path"]))).convert("RGB"))
