"""The request of a row to the faces stage, and the identity that it gets."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from idgen.faces.keypoints import FaceTarget
from idgen.recipes.recipe import FacePack
from idgen.recipes.variants import FaceNeeds

EMBEDDING_ALONE = FaceNeeds(embedding=True, pictures=())
"""What FaceID needs."""


MaskMode = Literal["", "repaint_white", "keep_white", "alpha"]
"""How a file is read as a mask: white is repainted or kept, or what is not opaque is repainted. Empty = no mask."""


@dataclass(frozen=True, slots=True)
class InputImage:
    """A picture that a row brings beside its references: the one to start from, its mask, or a control map."""

    column: str
    uri: str
    width: int  # of the picture that is made, px
    height: int
    mask_mode: MaskMode = ""


@dataclass(frozen=True, slots=True)
class Request:
    """What one row asks for. A URI of "" means that there is no file."""

    uris: tuple[str, ...]  # photos of one person; none where ip_adapter_image_uri says it all
    sha256s: tuple[str, ...] = ()  # of their bytes, as many as uris, or none; "" is not checked
    face_select: str = "largest"
    needs: FaceNeeds = EMBEDDING_ALONE  # the recipe's
    face_pack: FacePack = field(default_factory=FacePack)  # the recipe's; loaded only when a face has to be found
    ip_adapter_image_uri: str = ""
    reference_mask_uri: str = ""
    images: tuple[InputImage, ...] = ()
    face_pose_uri: str = ""  # the photo whose face's points are used, chosen by face_select too
    face_target: FaceTarget | None = None  # where they go; None = the recipe draws no face
    size: tuple[int, int] = (0, 0)  # of the picture, width and height; only with face_target
    refuse_strangers: bool = False  # references that look like different people are an error, not a warning
    judge_same_person_cosine: float = -1.0  # the same bound as the pack's, of the judge if there is one


@dataclass(frozen=True, slots=True)
class Identity:
    """What a row's files give; the fields of schemas.IDENTITY. `id_embedding` and all `reference_*` may be None."""

    id_embedding: npt.NDArray[np.float32] | None  # [n * 512], raw; None where no adapter needs it
    judge_embedding: npt.NDArray[np.float32] | None  # [n * W], raw; None without a judge, or where it saw not all
    reference_box: list[float] | None  # n * 4; None, as the next three, where no face was looked for
    reference_keypoints: list[float] | None  # n * 10
    reference_score: list[float] | None  # n
    reference_faces: list[int] | None  # n
    reference_size: list[int] | None  # n * 2; None, as the digest, without references
    reference_digest: list[str] | None  # n
    warnings: list[str]
    crops: dict[str, list[bytes]]  # name of a PictureNeed -> n, or 1 of the ip_adapter_image_uri
    target_keypoints: list[float] | None  # 10, pixels of the picture; None where no face is drawn
    images: dict[str, bytes]  # column -> PNG
