"""Finds golden cases and says how each adapter runs one.

A case holds tiny random weights in the official layout, inputs after face analysis, and what the original
implementation made of them (../../shared/goldens/README.md where it is there). Roots: this folder, `../shared/goldens`
beside the checkout, and the folder IDGEN_GOLDENS names; test ids tell them apart.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import identity_cases
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from idgen.recipes.recipe import AdapterSpec, Base, Recipe
from idgen.recipes.variants import picture_need
from idgen.sampling.rows import Bucket, SampleRow
from idgen.schemas import EMBEDDING_WIDTH
from idgen.sources import clip_pixels

HERE = Path(__file__).parent
CASES = (HERE.parents[2] / "shared" / "goldens" / "cases").resolve()
"""The open goldens."""

KINDS = {
    "ip-adapter_sd15": "ip_adapter",
    "ip-adapter_sdxl": "ip_adapter",
    "ip-adapter-plus_sd15": "ip_adapter_plus",
    "ip-adapter-plus_sdxl_vit-h": "ip_adapter_plus",
    "ip-adapter-plus-face_sd15": "ip_adapter_plus_face",
    "ip-adapter-full-face_sd15": "ip_adapter_full_face",
    "ip-adapter-faceid_sd15": "faceid",
    "ip-adapter-faceid_sdxl": "faceid",
    "ip-adapter-faceid-plus_sd15": "faceid_plus",
    "ip-adapter-faceid-plusv2_sd15": "faceid_plusv2",
    "ip-adapter-faceid-plusv2_sdxl": "faceid_plusv2",
    "ip-adapter-faceid-portrait_sd15": "faceid_portrait",
    "kolors-faceid-plus": "kolors_faceid_plus",
    **identity_cases.KINDS,
}
"""Adapter of a case, in its authors' spelling -> kind of adapter in a recipe. Others are left out."""

BARE = ("kolors-text-to-image", "kolors-image-to-image")
"""Cases of a base without any adapter."""

BASES = {"sd15-tiny": "sd15", "sdxl-tiny": "sdxl", "kolors-tiny": "kolors"}
"""Base of a case -> its kind in a recipe."""

STRENGTHS = ("ip_adapter_scale", "face_fidelity_scale", "id_scale")
"""One thing under its authors' names."""

SCHEDULERS = {
    ("DDIMScheduler", False): "ddim",
    ("EulerDiscreteScheduler", False): "euler",
    ("DPMSolverMultistepScheduler", True): "dpmpp_2m_karras",
}
"""The case's diffusers class, with Karras sigmas or not -> our name."""


@dataclass(frozen=True)
class Case:
    """One case on disk."""

    folder: Path

    @property
    def id(self) -> str:
        """`<name of the root>/<name of the case>`."""
        return f"{self.folder.parents[1].name}/{self.folder.name}"

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What case.json says."""
        return json.loads((self.folder / "case.json").read_text())

    @cached_property
    def inputs(self) -> dict[str, Tensor]:
        """What came out of face analysis, and the noise."""
        return load_file(self.folder / "inputs.safetensors")

    @cached_property
    def expected(self) -> dict[str, Tensor]:
        """What the original implementation made of it."""
        return load_file(self.folder / "expected.safetensors")

    @property
    def kind(self) -> str:
        """Of its adapter in a recipe; "" for a base's own case."""
        return KINDS.get(self.facts["adapter"], "")

    @property
    def root(self) -> Path:
        """The folder that has `bases`, `encoders` and `cases`."""
        return self.folder.parents[1]

    @property
    def adapter(self) -> AdapterSpec | None:
        """The case's adapter as an entry of a recipe; None for a base's own case."""
        facts = self.facts
        if not self.kind:
            return None
        checkpoint, files = self.folder / "checkpoint", facts["checkpoint"]
        encoder = self.root / "encoders" / facts["encoder"] if facts["encoder"] else None
        if facts["adapter"] in identity_cases.KINDS:
            return identity_cases.adapter(self.kind, checkpoint, files, encoder)
        return AdapterSpec(
            name="adapter", kind=self.kind, weights=str(checkpoint / files[0]), image_encoder=str(encoder or "")
        )

    @property
    def recipe(self) -> Recipe:
        """A recipe of the case's files, in float32."""
        base = self.facts["base"]
        return Recipe(
            name=self.folder.name,
            base=Base(kind=BASES[base], weights=str(self.root / "bases" / base), dtype="float32"),
            adapters=[self.adapter] if self.adapter else [],
            controls=identity_cases.controls(
                self.kind, self.folder / "checkpoint", self.facts.get("controlnet_config", "")
            ),
            timestep_spacing=self.facts["scheduler"]["config"].get("timestep_spacing", ""),
        )

    @property
    def lora_scale(self) -> float:
        """Of the file's own LoRA; 1 for files without one."""
        return self.facts["scale"].get("lora_scale", 1.0)

    @property
    def bucket(self) -> Bucket:
        """The case's common settings."""
        facts = self.facts
        scheduler = facts["scheduler"]
        return Bucket(
            width=facts["width"],
            height=facts["height"],
            num_inference_steps=facts["steps"],
            scheduler=SCHEDULERS[scheduler["class"], scheduler["config"].get("use_karras_sigmas", False)],
            guidance_scale=facts["guidance_scale"],
            n_references=facts["scale"].get("num_faces", 1),
            strength=facts.get("strength"),
            controls=identity_cases.uses(self.kind),
        )

    @property
    def rows(self) -> list[SampleRow]:
        """The case's rows, with embeddings as the face pack gives them and pictures as the CPU actor prepares them."""
        facts, scale = self.facts, self.facts["scale"]
        return [
            SampleRow(
                key=str(number),
                prompt=facts["prompts"][number],
                negative_prompt=facts["negative_prompts"][number],
                seed=facts["seeds"][number] if "seeds" in facts else 0,
                id_embedding=self.embeddings(number),
                ip_adapter_scale=next((scale[name] for name in STRENGTHS if name in scale), 1.0),
                options={"shortcut_scale": scale["s_scale"]} if scale.get("shortcut") else {},
                crops=self.crops(number),
                init_image=self.inputs["image"][number].numpy() if self.bucket.strength is not None else None,
                **identity_cases.row_facts(scale, self.inputs, number),
            )
            for number in range(facts["batch"])
        ]

    def embeddings(self, number: int) -> NDArray[np.float32]:
        """[n, 512] of a row, n = 0 where the adapter reads none."""
        if "id_embedding_raw" not in self.inputs:
            return np.empty((0, EMBEDDING_WIDTH), np.float32)
        return self.inputs["id_embedding_raw"][number].reshape(-1, EMBEDDING_WIDTH).numpy()

    def crops(self, number: int) -> dict[str, NDArray[np.uint8]]:
        """What the row's adapter looks at. A face crop is stored as the original got it: in its authors' colours."""
        need = picture_need(self.adapter) if self.adapter else None
        if need is None:
            return {}
        for name in ("face_crop", "aligned_face"):
            if name in self.inputs:
                return {need.name: self.inputs[name][number : number + 1].numpy()}
        return {need.name: clip_pixels.prepare(self.inputs["image"][number].numpy(), need.size_px, need.clip_fit)[None]}


def find() -> Iterator[Case]:
    """Yield every case of every root whose adapter is in the table."""
    given = os.environ.get("IDGEN_GOLDENS")
    roots = [HERE, HERE.parents[2] / "shared" / "goldens", *([Path(given)] if given else [])]
    for root in dict.fromkeys(root.resolve() for root in roots):
        for facts in sorted(root.glob("cases/*/case.json")):
            if json.loads(facts.read_text()).get("adapter") in (*KINDS, *BARE):
                yield Case(facts.parent)


def open_case(name: str) -> Case:
    """Return an open golden; where they are not, the test is skipped."""
    if not (CASES / name / "case.json").is_file():
        pytest.skip(f"no ../shared/goldens/cases/{name} beside this checkout")
    return Case(CASES / name)
