"""configs/base.yaml, "a start for your own", on a laptop as it is."""

from pathlib import Path

from idgen.settings import load_config
from idgen.sources.fetch import Fetcher

BASE = str(Path(__file__).parents[1] / "configs" / "base.yaml")


def test_photos_beside_the_manifest_are_read(tmp_path: Path):
    (tmp_path / "a.jpg").write_bytes(b"photo")
    fetcher = Fetcher(load_config([BASE]).sources, extra_roots=[str(tmp_path)])
    assert fetcher.fetch(str(tmp_path / "a.jpg")) == b"photo"


def test_two_cores_are_enough_for_one_actor_of_each_kind():
    config = load_config([BASE])
    assert config.sampling.num_cpus + config.faces.num_cpus <= 2
