"""The count of every picture asked for, by how it ended, and what gates and people say of those that are there."""

from dataclasses import dataclass, field

import duckdb

from idgen.outputs.publishing import HELD
from idgen.reviews.decisions import ACCEPTED, REJECTED

_IS_HELD = f"n.verdict = '{HELD}' AND d.decision IS NULL"


@dataclass(frozen=True, kw_only=True, slots=True)
class Balance:
    """Pictures by how they ended; `unfinished` are those a stopped run left."""

    asked: int
    ok: int
    rejected: int
    failed: int
    skipped: int
    unfinished: int
    codes: dict[str, int]
    """Pictures of this run without an image, by code."""

    held: int = 0
    """Pictures of this manifest that are there, that a gate holds back, and that nobody decided on."""
    held_new: int = 0
    """Those of them that this run made."""
    ok_before: int = 0
    """Those of `ok` that this run had made before it was stopped or killed, and went on."""
    accepted: int = 0
    """Pictures of this manifest that are there and that people accepted."""
    rejected_by_review: int = 0
    """The same for those that people rejected; their status stays ok."""
    images_replaced: int = 0
    """Pictures that this run made again with other pixels under the same key."""
    withdrawn: int = 0
    """Named copies that this run removed."""
    picture_warnings: dict[str, int] = field(default_factory=dict)
    """Pictures that this run made, by code of their warnings; one may have several."""

    @property
    def adds_up(self) -> bool:
        """Whether every picture asked for has exactly one status."""
        return self.asked == self.ok + self.rejected + self.failed + self.skipped + self.unfinished


def balance_of(connection: duckdb.DuckDBPyConnection, withdrawn: int) -> Balance:
    """Count the pictures of table `outcomes`, and what `newest` and `decided` say of those that are there."""
    by_status = dict(connection.execute("SELECT status, count(*) FROM outcomes GROUP BY status").fetchall())
    asked = connection.execute("SELECT count(*) FROM asked").fetchall()
    codes = connection.execute("""
        SELECT code, count(*) FROM outcomes WHERE status IN ('rejected', 'failed') GROUP BY code ORDER BY code
        """).fetchall()
    ((held, held_new, accepted, rejected, replaced),) = connection.execute(f"""
        SELECT count(*) FILTER ({_IS_HELD}), count(*) FILTER ({_IS_HELD} AND o.status = 'ok'),
            count(*) FILTER (d.decision = '{ACCEPTED}'), count(*) FILTER (d.decision = '{REJECTED}'),
            count(*) FILTER (n.image_replaced AND o.status = 'ok' AND o.first = o.ordinal)
        FROM outcomes o JOIN newest n ON n.key = o.key AND n.status = 'ok' LEFT JOIN decided d ON d.key = o.key
        """).fetchall()
    before = connection.execute("""
        SELECT count(*) FROM outcomes o JOIN verdicts v USING (ordinal) WHERE o.status = 'ok' AND v.verdict = 'skipped'
        """).fetchall()
    warned = connection.execute("""
        SELECT split_part(warning, ':', 1) AS code, count(DISTINCT key)
        FROM (SELECT o.key, unnest(t.warnings) AS warning FROM outcomes o JOIN told t ON t.key = o.key
              WHERE o.status = 'ok' AND o.first = o.ordinal)
        GROUP BY code ORDER BY code""").fetchall()
    names = ("ok", "rejected", "failed", "skipped", "unfinished")
    return Balance(
        asked=int(asked[0][0]),
        **{name: by_status.get(name, 0) for name in names},
        codes=dict(codes),
        held=held,
        held_new=held_new,
        ok_before=int(before[0][0]),
        accepted=accepted,
        rejected_by_review=rejected,
        images_replaced=replaced,
        withdrawn=withdrawn,
        picture_warnings=dict(warned),
    )
