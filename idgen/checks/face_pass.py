"""The check face_pass: how the face pass of a picture went."""

import pyarrow as pa

from idgen.checks.picture import PictureFacts, Pixels
from idgen.checks.protocol import Finding, FindingColumn


class FacePassCheck:
    """Reports what sampling/face_pass.py did."""

    column = FindingColumn(
        "face_pass_result", pa.string(), "done, no_face, large_enough or failed; null where no face pass was asked for"
    )

    def look(self, picture: Pixels, facts: PictureFacts) -> Finding:
        """Return the result; the warnings of the pass are the finding's detail."""
        done = facts.face_pass
        if done is None:
            return Finding(self.column.name, None)
        return Finding(self.column.name, done.result, "warn" if done.notes else "ok", done.notes)
