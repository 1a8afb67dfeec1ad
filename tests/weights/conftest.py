import pytest

from idgen.recipes.recipe import AdapterSpec, Base, FacePack, Recipe


@pytest.fixture
def recipe(tmp_path) -> Recipe:
    """A base, an adapter and a face pack of a few bytes each, where the names are right and the content is not."""
    for name in ("unet/diffusion_pytorch_model.safetensors", "unet/config.json", "vae/diffusion_pytorch_model.bin",
                 "tokenizer/vocab.json", "safety_checker/model.safetensors", "notes.md"):  # fmt: skip
        (tmp_path / "base" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "base" / name).write_text(name)
    (tmp_path / "adapter.bin").write_text("adapter")
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "det.onnx").write_text("det")
    return Recipe(
        name="r",
        base=Base(weights=str(tmp_path / "base")),
        adapters=[AdapterSpec(name="a", weights=str(tmp_path / "adapter.bin"))],
        face_pack=FacePack(weights=str(tmp_path / "pack")),
    )
