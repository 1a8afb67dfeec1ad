"""The check faces_found: how many faces a picture shows."""

import pyarrow as pa

from idgen.checks.no_face import unmeasured
from idgen.checks.picture import PictureFacts, Pixels
from idgen.checks.protocol import Finding, FindingColumn


class FacesFoundCheck:
    """Counts what the detector of the recipe's face pack finds."""

    column = FindingColumn("faces_found", pa.int32(), "faces in the picture; null for recipes that look for none")

    def look(self, picture: Pixels, facts: PictureFacts) -> Finding:
        """Return the count."""
        if facts.seen is None:
            return unmeasured(self.column.name, facts, "faces")
        return Finding(self.column.name, len(facts.seen.boxes))
