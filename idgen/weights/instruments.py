"""The networks that finished pictures are measured with: a judge of faces, a safety model. Onnx files only.

They decide no pixels and are in no key; but figures of two machines compare only if both measure with the same files.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from idgen.checks.config import NETWORK_SETTINGS, ChecksConfig
from idgen.checks.picture import Instrument
from idgen.errors import Exit, RunError
from idgen.weights import face_networks, files
from idgen.weights.hashes import HashCache
from idgen.weights.locations import locate


def locations(checks: ChecksConfig) -> dict[Instrument, str]:
    """Return where the networks are that `checks` names."""
    named: dict[Instrument, str] = {"judge": checks.likeness.judge, "safety": checks.safety.weights}
    return {name: location for name, location in named.items() if location}


def network(name: Instrument, location: str) -> Path:
    """Return the instrument's one .onnx file. Raises RunError(USAGE) that names the setting when there is none."""
    return _network(name, location)[0]


def said(name: Instrument, location: str) -> str:
    """Return in a few words what the network was found to be. Raises RunError(USAGE) as `network`."""
    path, width = _network(name, location)
    return (
        f"safety model {path.name}" if name == "safety" else f"recogniser {path.name}, {width or '?'} numbers per face"
    )


def identity(checks: ChecksConfig, *, cache: Path | None) -> dict[Instrument, str]:
    """Return the sha256 of every instrument's network. Raises RunError(USAGE) as `network`."""
    hashes = HashCache(cache)
    found = {name: hashes.sha256(network(name, location)) for name, location in locations(checks).items()}
    hashes.save()
    return found


def node_network(name: Instrument, location: str, expected: Mapping[Instrument, str], *, cache: Path | None) -> Path:
    """Return the network as this node has it.

    Raises RunError(USAGE) as `network`, RunError(UNAVAILABLE) when it is another one than the driver's.
    """
    path = network(name, location)
    hashes = HashCache(cache)
    if hashes.sha256(path) != expected.get(name):
        raise RunError(
            Exit.UNAVAILABLE,
            f"{NETWORK_SETTINGS[name]}: {path} on {os.uname().nodename} differs from the driver's; "
            "give all nodes the same file",
        )
    hashes.save()
    return path


def _network(name: Instrument, location: str) -> tuple[Path, int | None]:
    try:
        place = locate(location)
    except RunError as error:
        raise RunError(
            Exit.USAGE,
            f"{NETWORK_SETTINGS[name]}: {location} is not on {os.uname().nodename}; give the path of an .onnx file, or "
            "of the folder that holds it",
        ) from error
    try:
        found = [place] if place.is_file() else [path for _, path in files.face_pack_files(place)]
        if any(path.suffix != ".onnx" for path in found):
            raise RunError(Exit.USAGE, f"{place} is no .onnx file")
        if name == "judge":
            return face_networks.recogniser_among(found, place)
        if len(found) != 1:
            raise RunError(Exit.USAGE, f"{place} has {len(found)} .onnx files: name one of them")
        face_networks.check_safety(found[0])
        return found[0], None
    except RunError as error:
        raise RunError(error.exit_code, f"{NETWORK_SETTINGS[name]}: {error.message}") from error
