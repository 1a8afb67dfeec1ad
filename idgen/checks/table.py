"""The table of checks that run on every finished picture, in the order of their columns."""

from idgen.checks.clipping import ClippingCheck
from idgen.checks.face_pass import FacePassCheck
from idgen.checks.face_place import FacePlaceCheck
from idgen.checks.face_size import FaceSizeCheck
from idgen.checks.faces_found import FacesFoundCheck
from idgen.checks.ground import GroundDeviationCheck, GroundWhiteCheck
from idgen.checks.judge_likeness import JudgeSimilarityCheck, LeastJudgeSimilarityCheck
from idgen.checks.likeness import LeastSimilarityCheck, SimilarityBeforeCheck, SimilarityCheck
from idgen.checks.perceptual_hash import PerceptualHashCheck
from idgen.checks.protocol import Check, FindingColumn
from idgen.checks.sharpness import SharpnessCheck
from idgen.checks.unsafe import UnsafeCheck

CHECKS: tuple[Check, ...] = (
    FacePassCheck(),
    SimilarityBeforeCheck(),
    SimilarityCheck(),
    LeastSimilarityCheck(),
    JudgeSimilarityCheck(),
    LeastJudgeSimilarityCheck(),
    FacesFoundCheck(),
    FaceSizeCheck(),
    FacePlaceCheck(),
    SharpnessCheck(),
    ClippingCheck(),
    PerceptualHashCheck(),
    GroundWhiteCheck(),
    GroundDeviationCheck(),
    UnsafeCheck(),
)

FINDING_COLUMNS: tuple[FindingColumn, ...] = tuple(check.column for check in CHECKS)
"""Ledger, results and gallery have one column for each."""

COLUMN_OF: dict[str, FindingColumn] = {column.name: column for column in FINDING_COLUMNS}
