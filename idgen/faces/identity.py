"""What a row asks of the faces stage, and what it gets."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from idgen.adapters.variants import FaceNeeds
from idgen.recipes import FacePack

EMBEDDING_ALONE = FaceNeeds(embedding=True, pictures=())
"""What FaceID needs."""


@dataclass(frozen=True, slots=True)
class InputImage:
    """A picture that a row brings beside its references: the one to start from, or a control map."""

    column: str
    uri: str
    width: int  # of the picture that is made, px
    height: int


@dataclass(frozen=True, slots=True)
class Request:
    """What one row asks for. An URI of "" is none."""

    uris: tuple[str, ...]  # photos of one person; none where ip_adapter_image_uri says it all
    sha256s: tuple[str, ...] = ()  # of their bytes, as many as uris, or none; "" is not checked
    face_select: str = "largest"
    needs: FaceNeeds = EMBEDDING_ALONE  # the recipe's
    face_pack: FacePack = field(default_factory=FacePack)  # the recipe's; loaded only when a face has to be found
    ip_adapter_image_uri: str = ""
    reference_mask_uri: str = ""
    images: tuple[InputImage, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """What a row's files give; the fields of schemas.IDENTITY. `id_embedding` and all `reference_*` may be None."""

    id_embedding: npt.NDArray[np.float32] | None  # [n * 512], raw; None where no adapter needs it
    reference_box: list[float] | None  # n * 4; None, as the next three, where no face was looked for
    reference_keypoints: list[float] | None  # n * 10
    reference_score: list[float] | None  # n
    reference_faces: list[int] | None  # n
    reference_size: list[int] | None  # n * 2; None, as the digest, without references
    reference_digest: list[str] | None  # n
    warnings: list[str]
    crops: dict[str, list[bytes]]  # name of a PictureNeed -> n, or 1 of the ip_adapter_image_uri
    images: dict[str, bytes]  # column -> PNG
