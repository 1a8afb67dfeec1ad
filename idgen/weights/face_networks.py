"""Whether a face pack's networks can find faces and tell them apart, by what goes in and comes out; none is run."""

from functools import lru_cache
from pathlib import Path

from idgen.errors import Exit, RunError
from idgen.schemas import EMBEDDING_WIDTH

_ALL_NETWORKS = 5
"""Outputs from which on insightface takes a network for a detector."""
_WITH_POINTS = (9, 15)
"""Outputs of a detector with three or five scales: scores, boxes and points of each."""
_WITHOUT_POINTS = (6, 10)
_LEAST_SIDE_PX, _SIDE_STEP_PX = 112, 16
"""Of what insightface takes for a recogniser."""

Shape = tuple[int | None, ...]
"""None = as large as it is given."""
Ends = tuple[tuple[Shape, ...], tuple[Shape, ...]]
"""Inputs and outputs of a network."""


def check_networks(paths: list[Path], folder: Path) -> str:
    """Return in a few words what the networks at `paths` are. Raises RunError(USAGE) when they are no face pack.

    A pack has a detector that gives points, a recogniser of 512 numbers a face, and no other network but for the known
    ones of unused.py, which are not in `paths`.
    """
    ends = {path: _ends(path) for path in paths}
    detectors = [path for path, (_, outputs) in ends.items() if len(outputs) >= _ALL_NETWORKS]
    recognisers = [path for path, found in ends.items() if path not in detectors and _is_recogniser(*found)]
    for found, what in ((detectors, "detector"), (recognisers, "recogniser")):
        if not found:
            raise RunError(Exit.USAGE, f"the face pack in {folder} has no {what}; it has {_named(paths)}")
    # insightface takes the first of each kind
    detector, recogniser = min(detectors), min(recognisers)
    _check_detector(detector, len(ends[detector][1]))
    *_, width = (None, *ends[recogniser][1][0])
    if width not in (EMBEDDING_WIDTH, None):
        raise RunError(
            Exit.USAGE,
            f"{recogniser} gives {width} numbers per face, but adapters and reports need {EMBEDDING_WIDTH}: use a "
            "pack with "
            "an ArcFace recogniser, such as buffalo_l or antelopev2",
        )
    if unused := [path for path in paths if path not in (detector, recogniser)]:
        raise RunError(
            Exit.USAGE,
            f"the face pack in {folder} has {len(unused)} networks that idgen does not use ({_named(unused[:3])}) "
            f"besides its detector {detector.name} and recogniser {recogniser.name}: keep only what the recipe "
            "should use",
        )
    return f"{len(paths)} networks: detector {detector.name}, recogniser {recogniser.name}"


def recogniser_among(paths: list[Path], place: Path) -> tuple[Path, int | None]:
    """Return the network at `paths` that embeds faces, the first by name as insightface has it, and how many numbers it
    gives (None = unknown). Raises RunError(USAGE) when there is none.
    """
    found = {path: ends for path in paths if _is_recogniser(*(ends := _ends(path))) and len(ends[1]) == 1}
    if not found:
        raise RunError(Exit.USAGE, f"{place} has no recogniser of faces; it has {_named(paths)}")
    path = min(found)
    return path, (None, *found[path][1][0])[-1]


def check_safety(path: Path) -> None:
    """Raise RunError(USAGE) when the network is not of open_nsfw's layout: [n, 224, 224, 3] in, two numbers out."""
    inputs, outputs = _ends(path)
    if [one[1:] for one in inputs] != [(224, 224, 3)] or [one[1:] for one in outputs] != [(2,)]:
        raise RunError(Exit.USAGE, f"{path} is no safety model of open_nsfw's layout ([n, 224, 224, 3] to [n, 2])")


def _check_detector(path: Path, outputs: int) -> None:
    if outputs not in _WITH_POINTS:
        what = "finds boxes without points (eyes, nose, mouth)" if outputs in _WITHOUT_POINTS else "is no SCRFD"
        raise RunError(
            Exit.USAGE,
            f"{path} has {outputs} outputs, so it {what}; use a pack whose detector has 9 or 15 outputs, with "
            "points, such as "
            "buffalo_l's det_10g.onnx",
        )


def _is_recogniser(inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> bool:
    """Tell as insightface does: one square picture in, some numbers out; 192, 96 and 128 px are other networks'."""
    if not inputs or not outputs or len(inputs[0]) != 4:
        return False
    height, width = inputs[0][2:]
    if height is None or height != width or height == 192 or (len(inputs) == 2 and height == 128):
        return False
    return height >= _LEAST_SIDE_PX and height % _SIDE_STEP_PX == 0


def _ends(path: Path) -> Ends:
    stat = path.stat()
    return _read_ends(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)  # many recipes have one pack
def _read_ends(path: Path, _size: int, _mtime_ns: int) -> Ends:
    import onnx  # 0.3 s, and only packs need it

    try:
        graph = onnx.load_model(str(path), load_external_data=False).graph
    except Exception as error:  # protobuf's errors are not onnx' own
        raise RunError(Exit.USAGE, f"{path} cannot be read as an .onnx network: {type(error).__name__}") from error
    given = {tensor.name for tensor in graph.initializer}  # weights, which old files list as inputs too
    inputs = tuple(_shape(value) for value in graph.input if value.name not in given)
    return inputs, tuple(_shape(value) for value in graph.output)


def _shape(value: object) -> Shape:
    sizes = value.type.tensor_type.shape.dim  # type: ignore[attr-defined]  # protobuf makes these classes as it runs
    return tuple(int(size.dim_value) if size.dim_value > 0 else None for size in sizes)


def _named(paths: list[Path]) -> str:
    return ", ".join(path.name for path in paths)
