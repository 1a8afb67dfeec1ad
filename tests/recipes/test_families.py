"""One line per family of bases, and nothing is asked of a base that its line does not say."""

import json
import subprocess
import sys
from typing import get_args

import pytest

from idgen.recipes.families import FAMILIES, FamilyName, family_of, short_titles
from idgen.recipes.variants import VARIANTS
from idgen.sampling.families.table import READERS
from idgen.tiny import world
from idgen.weights.names import TEXT_COMPONENTS


def test_every_name_has_a_line_and_a_file():
    assert get_args(FamilyName) == tuple(FAMILIES) == tuple(READERS)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_base_is_known_by_the_settings_of_its_denoiser(name):
    family = FAMILIES[name]
    settings = json.loads((world.locate(name) / family.denoiser / "config.json").read_text())
    assert family_of(settings) == name
    assert [other for other in FAMILIES.values() if other.owns(settings)] == [family]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_line_says_what_the_files_hold(name):
    family, folder = FAMILIES[name], world.locate(name)
    vae = json.loads((folder / "vae" / "config.json").read_text())
    assert (vae["scaling_factor"], vae["latent_channels"]) == (family.latent_scale, family.latent_channels)
    assert FAMILIES[family.vae_of].latent_scale == family.latent_scale
    assert set(family.text_encoders) <= set(TEXT_COMPONENTS)
    assert all((folder / encoder).is_dir() for encoder in family.text_encoders)
    assert not (folder / "text_encoder_2").is_dir() or "text_encoder_2" in family.text_encoders
    if family.text_apart:
        assert json.loads((folder / "text_encoder" / "config.json").read_text())["model_type"] == family.text_model
    assert family.text_width_setting in json.loads((folder / family.denoiser / "config.json").read_text())


def test_every_kind_of_adapter_has_a_base_that_has_a_place_for_it():
    for variant in VARIANTS.values():
        assert variant.families
        assert set(variant.families) <= set(FAMILIES)
        assert not variant.through_text or all(FAMILIES[name].text_projection for name in variant.families)


def test_titles_are_listed_in_words():
    assert short_titles(("sd15", "sdxl")) == "SD 1.5 and SDXL"
    assert (FAMILIES["kolors"].owners, FAMILIES["sdxl"].owners) == ("Kolors'", "SDXL's")


def test_what_is_known_of_families_and_of_files_needs_no_torch():
    read = "import sys; import idgen.recipes.families, idgen.weights.layouts, idgen.weights.recognition"
    done = subprocess.run(
        [sys.executable, "-c", f"{read}; print('torch' in sys.modules)"], capture_output=True, text=True
    )
    assert done.stdout == "False\n", done.stderr
