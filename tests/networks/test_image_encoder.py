"""The CLIP encoder: transformers' numbers, each picture once, nobody's neighbour."""

import json
import shutil

import numpy as np
import pytest
import torch
from doubles.tiny_recipe import picture
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel, CLIPVisionModelWithProjection
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from idgen.errors import Exit, RunError
from idgen.lru_cache import LruCache
from idgen.networks.image_encoder import ImageEncoder, dtype_beside, normalise
from idgen.tiny import world


@pytest.fixture
def encoder():
    return ImageEncoder.load(world.locate("clip_vit_h"), torch.float32)


def test_pixels_become_the_bits_that_clips_image_processor_gives():
    noise = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    expected = CLIPImageProcessorPil()(images=[Image.fromarray(noise)], return_tensors="np")["pixel_values"][0]
    assert np.array_equal(normalise(noise).numpy(), expected)
    assert normalise(noise).is_contiguous()


def test_features_are_the_projected_class_token_and_the_hidden_states_before_the_last_layer(encoder):
    seen = encoder.features(picture(1, 2))
    model = CLIPVisionModelWithProjection.from_pretrained(world.locate("clip_vit_h"), dtype=torch.float32)
    captured = []
    last = model.vision_model.encoder.layers[-1]
    last.register_forward_pre_hook(lambda _module, args: captured.append(args[0]))
    with torch.no_grad():
        expected = model(torch.stack([normalise(one) for one in picture(1, 2)]))
    assert seen.hidden_states.shape == (2, 257, encoder.hidden_width)
    assert seen.image_embeds.shape == (2, encoder.embed_width)
    torch.testing.assert_close(seen.hidden_states, captured[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(seen.image_embeds, expected.image_embeds, atol=1e-5, rtol=1e-5)


def test_what_stands_beside_a_picture_changes_no_bit_of_it(encoder):
    beside = encoder.features(picture(1, 4))
    encoder.clear()
    alone = encoder.features(picture(1, 4)[2:3])
    assert torch.equal(beside.hidden_states[2:3], alone.hidden_states)
    assert torch.equal(beside.image_embeds[2:3], alone.image_embeds)


def test_equal_pictures_are_encoded_once_and_the_least_used_are_forgotten(encoder, monkeypatch):
    monkeypatch.setattr(encoder, "_cache", LruCache(lambda _: 1, 2))
    first, second, third = picture(1), picture(2), picture(3)
    encoder.features(np.concatenate([first, first, second]))
    assert encoder.encodings == 2
    encoder.features(first)
    encoder.features(third)  # takes second's place, as first was asked for later
    encoder.features(first)
    assert encoder.encodings == 3
    encoder.features(second)
    assert encoder.encodings == 4


def test_zeros_are_hidden_states_of_the_mean_colour_and_zero_embeddings(encoder):
    with torch.no_grad():
        expected = encoder.model(torch.zeros(1, 3, 224, 224), output_hidden_states=True).hidden_states[-2]
    black = encoder.features(np.zeros((1, 224, 224, 3), np.uint8)).hidden_states
    assert torch.equal(encoder.zeros.hidden_states, expected)
    assert (encoder.zeros.hidden_states - black).abs().max() > 0.01
    assert encoder.zeros.image_embeds.shape == (1, encoder.embed_width)
    assert not encoder.zeros.image_embeds.any()
    assert encoder.zeros is encoder.zeros
    assert encoder.encodings == 1


@pytest.mark.parametrize("wrong", [(1, 223, 224, 3), (1, 3, 224, 224), (224, 224, 3), (1, 256, 256, 3)])
def test_pictures_of_another_shape_are_refused(encoder, wrong):
    with pytest.raises(ValueError, match="224 px"):
        encoder.features(np.zeros(wrong, np.uint8))
    with pytest.raises(ValueError, match="float32"):
        encoder.features(np.zeros((1, 224, 224, 3), np.float32))


def test_half_precision_features_come_back_in_float32_and_stay_close(encoder):
    half = ImageEncoder.load(world.locate("clip_vit_h"), torch.float16)
    assert half.model.dtype == torch.float16
    seen, exact = half.features(picture(1)), encoder.features(picture(1))
    assert {seen.hidden_states.dtype, seen.image_embeds.dtype, half.zeros.hidden_states.dtype} == {torch.float32}
    assert 0 < (seen.hidden_states - exact.hidden_states).abs().max() < 0.05


def test_an_encoder_of_336_px_gives_577_hidden_states():
    larger = ImageEncoder.load(world.locate("clip_vit_l_336"), torch.float32)
    assert (larger.side_px, larger.positions, larger.hidden_width) == (336, 577, 64)
    assert larger.features(picture(1, 2, 336)).hidden_states.shape == (2, 577, 64)
    with pytest.raises(ValueError, match="336 px"):
        larger.features(picture(1))


@pytest.mark.parametrize("inner_width", [{}, {"projection_dim": 24}, {"projection_dim": 99}])
def test_the_folder_of_a_whole_clip_gives_its_tower_and_no_noise_about_its_text_half(tmp_path, caplog, inner_width):
    """As Kolors' FaceID-Plus brings clip-vit-large-patch14-336: a .bin of both halves with buffers of old versions.

    What such a CLIP projects to stands in the outer settings; the inner ones may say nothing, or something else.
    """
    tower = CLIPVisionModelWithProjection.from_pretrained(world.locate("clip_vit_l_336"), dtype=torch.float32)
    small = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**small, "vocab_size": 9, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2, "projection_dim": 24}
    whole = CLIPModel(CLIPConfig(text_config=text, vision_config=tower.config.to_dict(), projection_dim=24))
    whole.vision_model.load_state_dict(tower.vision_model.state_dict())
    whole.visual_projection.load_state_dict(tower.visual_projection.state_dict())
    whole.config.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    settings["vision_config"].pop("projection_dim")
    settings["vision_config"] |= inner_width
    (tmp_path / "config.json").write_text(json.dumps(settings))
    old = {
        f"{half}.embeddings.position_ids": torch.arange(n)[None]
        for half, n in (("vision_model", 577), ("text_model", 77))
    }
    torch.save(whole.state_dict() | old, tmp_path / "pytorch_model.bin")
    caplog.clear()
    made = ImageEncoder.load(tmp_path, torch.float32)
    expected = ImageEncoder(tower).features(picture(1, 1, 336))
    assert torch.equal(made.features(picture(1, 1, 336)).hidden_states, expected.hidden_states)
    assert torch.equal(made.features(picture(1, 1, 336)).image_embeds, expected.image_embeds)
    assert "UNEXPECTED" not in caplog.text


def test_beside_a_bfloat16_base_the_encoder_runs_in_float32():
    assert [dtype_beside(one) for one in (torch.float32, torch.float16, torch.bfloat16)] == [
        torch.float32,
        torch.float16,
        torch.float32,
    ]
    assert dtype_beside(torch.float16, exact=True) == torch.float32


def test_a_folder_that_holds_no_encoder_is_a_usage_error_that_names_it(tmp_path):
    for folder in (tmp_path, tmp_path / "gone", world.locate("sd15") / "vae", world.locate("sd15") / "text_encoder"):
        with pytest.raises(RunError, match=str(folder)) as caught:
            ImageEncoder.load(folder, torch.float32)
        assert caught.value.exit_code == Exit.USAGE


def test_an_encoder_with_a_tensor_missing_is_refused_instead_of_made_up(tmp_path):
    shutil.copytree(world.locate("clip_vit_h"), tmp_path / "encoder")
    weights = load_file(tmp_path / "encoder" / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, tmp_path / "encoder" / "model.safetensors", {"format": "pt"})
    with pytest.raises(RunError, match="visual_projection"):
        ImageEncoder.load(tmp_path / "encoder", torch.float32)
