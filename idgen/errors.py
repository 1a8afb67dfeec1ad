"""The three kinds of error, the exit codes, and the table of row codes with what to do about each.

`RowError` belongs to one picture and becomes columns; `RunError` stops the run with an exit code; anything else
is a bug, caught once per row and recorded as `internal`.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Literal

Status = Literal["", "ok", "rejected", "failed", "skipped"]
"""What a picture ended as; "" while it is still on its way."""

MAX_DETAIL_CHARS = 300


class Exit(IntEnum):
    """Exit codes of every job; README.md has their table."""

    OK = 0
    BUG = 1
    USAGE = 2
    TOO_MANY_FAILED = 3
    REFUSED = 4
    STOPPED = 5
    UNAVAILABLE = 6
    INTERRUPTED = 130
    READER_GONE = 141
    """The reader of the output has gone (`… | head`): the code a shell gives a program that SIGPIPE ended."""


class Code(StrEnum):
    """Why a picture has no image. The values are a contract: they are in ledgers and in people's scripts."""

    # plan: nothing was fetched yet
    BAD_VALUE = "bad_value"
    MISSING_VALUE = "missing_value"
    UNKNOWN_RECIPE = "unknown_recipe"
    COLUMN_NOT_USED = "column_not_used"
    DUPLICATE_ROW_ID = "duplicate_row_id"
    DUPLICATE_OUTPUT_NAME = "duplicate_output_name"
    # faces: fetch
    URI_FORBIDDEN = "uri_forbidden"
    REFERENCE_MISSING = "reference_missing"
    FETCH_DENIED = "fetch_denied"
    FETCH_FAILED = "fetch_failed"
    FETCH_TIMEOUT = "fetch_timeout"
    TOO_MANY_BYTES = "too_many_bytes"
    SHA256_MISMATCH = "sha256_mismatch"
    # faces: picture
    IMAGE_FORMAT = "image_format"
    IMAGE_CORRUPT = "image_corrupt"
    IMAGE_TOO_LARGE = "image_too_large"
    IMAGE_TOO_SMALL = "image_too_small"
    # faces: face
    NO_FACE = "no_face"
    FACE_TOO_SMALL = "face_too_small"
    FACE_INDEX_MISSING = "face_index_missing"
    REFERENCES_DIFFER = "references_differ"
    # sample
    WEIGHTS_UNUSABLE = "weights_unusable"
    TEXT_MISSING = "text_missing"
    OUT_OF_MEMORY = "out_of_memory"
    NON_FINITE = "non_finite"
    WORKER_CRASHED = "worker_crashed"
    EXTRA_BUDGET_SPENT = "extra_budget_spent"
    # publish
    STORE_FAILED = "store_failed"
    CHECK_FAILED = "check_failed"
    # anywhere
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class CodeFacts:
    """What a code means for a scheduler and for a person."""

    status: Literal["rejected", "failed"]
    retriable: bool
    meaning: str
    what_to_do: str


CODES: dict[Code, CodeFacts] = {
    Code.BAD_VALUE: CodeFacts("rejected", False, "a value in this row cannot be used", "correct the column named in the detail"),
    Code.MISSING_VALUE: CodeFacts("rejected", False, "the recipe needs a value that this row lacks", "fill the column named in the detail"),
    Code.UNKNOWN_RECIPE: CodeFacts("rejected", False, "there is no recipe of that name", "use a name that `jobs/weights.py list` shows"),
    Code.COLUMN_NOT_USED: CodeFacts("rejected", False, "this recipe cannot use a column that the row sets", "leave the column empty or choose a recipe that uses it"),
    Code.DUPLICATE_ROW_ID: CodeFacts("rejected", False, "another row has the same row_id", "make row_id unique"),
    Code.DUPLICATE_OUTPUT_NAME: CodeFacts("rejected", False, "another row has the same output_name", "make output_name unique"),
    Code.URI_FORBIDDEN: CodeFacts("rejected", False, "this address may not be fetched", "allow its folder, host or scheme (sources.roots, .hosts, .schemes), then jobs/rerun.py rerun.code=[uri_forbidden]"),
    Code.REFERENCE_MISSING: CodeFacts("failed", False, "nothing is stored at that address", "put the photo there, then jobs/rerun.py rerun.code=[reference_missing]"),
    Code.FETCH_DENIED: CodeFacts("failed", False, "the store refused access", "give the workers' role read access, then jobs/rerun.py rerun.code=[fetch_denied]"),
    Code.FETCH_FAILED: CodeFacts("failed", True, "the transfer broke", "it is retried automatically"),
    Code.FETCH_TIMEOUT: CodeFacts("failed", True, "the transfer took too long", "it is retried automatically"),
    Code.TOO_MANY_BYTES: CodeFacts("rejected", False, "the file is larger than sources.max_bytes", "store a smaller photo"),
    Code.SHA256_MISMATCH: CodeFacts("rejected", False, "the file does not have the reference_sha256 of the manifest", "correct reference_sha256 or the file"),
    Code.IMAGE_FORMAT: CodeFacts("rejected", False, "not a still JPEG, PNG, WebP or AVIF", "convert the photo"),
    Code.IMAGE_CORRUPT: CodeFacts("rejected", False, "the picture file is damaged", "store the photo again"),
    Code.IMAGE_TOO_LARGE: CodeFacts("rejected", False, "more pixels than sources.max_pixels", "scale the photo down"),
    Code.IMAGE_TOO_SMALL: CodeFacts("rejected", False, "fewer pixels than sources.min_side_px", "use a larger photo"),
    Code.NO_FACE: CodeFacts("rejected", False, "no face was found", "use a photo with a visible face; if the face is tiny in a large photo, crop the photo or raise the recipe's face_pack.det_size_px"),
    Code.FACE_TOO_SMALL: CodeFacts("rejected", False, "the face is smaller than faces.min_face_px", "crop closer to the face"),
    Code.FACE_INDEX_MISSING: CodeFacts("rejected", False, "face_select asks for a face that is not in the photo", "choose a smaller index, or largest"),
    Code.REFERENCES_DIFFER: CodeFacts("rejected", False, "the row's references look like different people", "give photos of one person, or set faces.references_differ=warn and jobs/rerun.py rerun.code=[references_differ]"),
    Code.WEIGHTS_UNUSABLE: CodeFacts("failed", True, "a weight file of the recipe cannot be used", "put the right file there, or fix what the detail says; then run the same command again"),
    Code.TEXT_MISSING: CodeFacts("failed", True, "the prompt that was encoded ahead is not in the output's texts/, or could not be read", "it is encoded again and retried automatically"),
    Code.OUT_OF_MEMORY: CodeFacts("failed", False, "the picture does not fit into the accelerator's memory, even alone", "ask for a smaller size, or use a larger accelerator"),
    Code.NON_FINITE: CodeFacts("failed", False, "the decoder gave values that are not finite numbers", "set base.dtype to bfloat16 or float32 (and base.vae_dtype to float32), or use another seed"),
    Code.WORKER_CRASHED: CodeFacts("failed", False, "the worker died twice while it ran this picture alone", "look at the input; jobs/rerun.py rerun.code=[worker_crashed] tries again"),
    Code.EXTRA_BUDGET_SPENT: CodeFacts("failed", True, "a gate held the picture, and run.max_extra_pictures left no further try", "the next run goes on with a budget of its own; or raise run.max_extra_pictures"),
    Code.STORE_FAILED: CodeFacts("failed", True, "the image could not be written", "it is retried automatically"),
    Code.CHECK_FAILED: CodeFacts("failed", True, "a measure that decides which of the picture's tries is kept could not be taken", "it is retried automatically; the run's logs say why it broke"),
    Code.INTERNAL: CodeFacts("failed", False, "a bug in idgen", "report it with the run's logs; after the fix jobs/rerun.py rerun.code=[internal]"),
}  # fmt: skip


class RowError(Exception):
    """One picture cannot be made; the others go on. `detail` never holds a prompt or a URL's query."""

    def __init__(self, code: Code, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = " ".join(detail.split())[:MAX_DETAIL_CHARS]

    def __reduce__(self) -> "tuple[type[RowError], tuple[Code, str]]":
        return RowError, (self.code, self.detail)

    @property
    def status(self) -> Literal["rejected", "failed"]:
        """`rejected` when trying again gives the same result, else `failed`."""
        return CODES[self.code].status

    @property
    def retriable(self) -> bool:
        """True when a later try may succeed without any change."""
        return CODES[self.code].retriable


class RunError(Exception):
    """The run cannot start or go on; the job prints the message and ends with `exit_code`."""

    def __init__(self, exit_code: Exit, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.message = message

    def __reduce__(self) -> "tuple[type[RunError], tuple[Exit, str]]":
        return RunError, (self.exit_code, self.message)


class MachineError(RunError):
    """A RunError caused by the machine, not by its input: a device is missing, or its libraries are."""
