"""The table of checks that run on every finished picture, in the order of their columns."""

from idgen.checks.face_pass import FacePassCheck
from idgen.checks.likeness import SimilarityBeforeCheck, SimilarityCheck
from idgen.checks.protocol import Check, FindingColumn

CHECKS: tuple[Check, ...] = (FacePassCheck(), SimilarityBeforeCheck(), SimilarityCheck())

FINDING_COLUMNS: tuple[FindingColumn, ...] = tuple(check.column for check in CHECKS)
"""Ledger, results and gallery have one column for each."""

COLUMN_OF: dict[str, FindingColumn] = {column.name: column for column in FINDING_COLUMNS}
