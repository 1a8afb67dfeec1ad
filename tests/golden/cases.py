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

from safetensors.torch import load_file
from torch import Tensor

from idgen.recipes import AdapterSpec, Base, Recipe
from idgen.sampling.rows import Bucket, SampleRow

HERE = Path(__file__).parent

KINDS = {"ip-adapter-faceid_sd15": ("sd15", "faceid")}
"""Adapter of a case, in its authors' spelling -> kind of base and of adapter in a recipe. Others are left out."""

SCHEDULERS = {"DDIMScheduler": "ddim"}
"""The case's diffusers class -> our name."""


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
    def recipe(self) -> Recipe:
        """A recipe of the case's files, in float32."""
        base, adapter = KINDS[self.facts["adapter"]]
        (checkpoint,) = self.facts["checkpoint"]
        return Recipe(
            name=self.folder.name,
            base=Base(kind=base, weights=str(self.folder.parents[1] / "bases" / self.facts["base"]), dtype="float32"),
            adapters=[AdapterSpec(name=adapter, kind=adapter, weights=str(self.folder / "checkpoint" / checkpoint))],
        )

    @property
    def bucket(self) -> Bucket:
        """The case's common settings."""
        facts = self.facts
        return Bucket(
            width=facts["width"],
            height=facts["height"],
            num_inference_steps=facts["steps"],
            scheduler=SCHEDULERS[facts["scheduler"]["class"]],
            guidance_scale=facts["guidance_scale"],
        )

    @property
    def rows(self) -> list[SampleRow]:
        """The case's rows, with embeddings as the face pack gives them."""
        facts = self.facts
        return [
            SampleRow(
                key=str(number),
                prompt=facts["prompts"][number],
                negative_prompt=facts["negative_prompts"][number],
                seed=0,
                id_embedding=self.inputs["id_embedding_raw"][number : number + 1].numpy(),
                ip_adapter_scale=facts["scale"]["ip_adapter_scale"],
            )
            for number in range(facts["batch"])
        ]


def find() -> Iterator[Case]:
    """Yield every case of every root whose adapter is in the table."""
    given = os.environ.get("IDGEN_GOLDENS")
    roots = [HERE, HERE.parents[2] / "shared" / "goldens", *([Path(given)] if given else [])]
    for root in dict.fromkeys(root.resolve() for root in roots):
        for facts in sorted(root.glob("cases/*/case.json")):
            if json.loads(facts.read_text()).get("adapter") in KINDS:
                yield Case(facts.parent)
