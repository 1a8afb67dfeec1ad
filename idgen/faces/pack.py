"""Loads the networks of a face pack, never from elsewhere than its folder."""

import contextlib
import io
from pathlib import Path

import onnxruntime
from insightface.app import FaceAnalysis

from idgen.errors import Exit, RunError
from idgen.faces import providers
from idgen.schemas import EMBEDDING_WIDTH

_MODULES = ["detection", "recognition"]


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """Return what a session is made with that computes with so many threads, its caller's among them."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


def load_pack(folder: Path, threads: int, device: str) -> FaceAnalysis:
    """Return insightface's FaceAnalysis of `folder`; a name instead of a folder would make it download.

    Raises RunError (usage) when the folder is not there or lacks detector or recogniser.
    """
    if not folder.is_dir() or not any(folder.glob("*.onnx")):
        raise RunError(
            Exit.USAGE,
            f"no face pack in {folder}: put the pack's .onnx files there, "
            "or name another folder in the recipe's face_pack.weights",
        )
    wanted = providers.providers(device)
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            app = FaceAnalysis(
                name=str(folder.resolve()),
                allowed_modules=_MODULES,
                providers=wanted,
                sess_options=session_options(threads),
            )
        except Exception as error:  # insightface asserts, onnxruntime has its own
            raise RunError(
                Exit.USAGE, f"the face pack in {folder} does not load: {str(error)[:200] or 'no detector'}"
            ) from error
    if not set(_MODULES) <= set(app.models):
        raise RunError(
            Exit.USAGE, f"the face pack in {folder} has no {' or no '.join(set(_MODULES) - set(app.models))}"
        )
    providers.check((model.session for model in app.models.values()), device)
    width = app.models["recognition"].output_shape[-1]
    if isinstance(width, int) and width != EMBEDDING_WIDTH:
        raise RunError(Exit.USAGE, f"the face pack in {folder} gives {width} numbers per face, not {EMBEDDING_WIDTH}")
    return app
