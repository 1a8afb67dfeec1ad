"""What becomes of each asked picture: made, skipped because the ledger has it, or refused.

Table `verdicts` (one row per asked picture): ordinal, key, verdict (make | skipped | refused), code, detail, first
(ordinal of the picture that is sampled for this key), attempt (the number this try would have), ledger_status.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import duckdb

from idgen.errors import CODES, Code, Exit, RunError
from idgen.manifest.asked_pictures import ORDINALS_PER_ROW, load_keys
from idgen.manifest.database import LEDGER_COLUMNS, quoted, register_ledger
from idgen.outputs.ledger import newest_sql, reading_ledger
from idgen.stores.protocol import ObjectStore

STATUSES = ("ok", "rejected", "failed")
"""What a ledger row may say."""
_FILE_AS_FOLDER = r"\.(png|jpg|webp)/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Force:
    """Which pictures `rerun` makes again though the ledger has them; one of these is enough. No others."""

    statuses: Sequence[str] = ()
    codes: Sequence[str] = ()
    keys_file: str = ""
    """One key a line: decisions, or keys whose image `verify` missed."""
    everything: bool = False
    """All that the selection leaves."""
    cells: Mapping[str, str | None] | None = None
    """Other pictures in the place of rejected ones, with these cells; not those that are made already."""


def check_force(force: Force) -> None:
    """Raise RunError(USAGE) for a status or code that no ledger row can have, with the one probably meant."""
    _check_words("rerun.status", force.statuses, STATUSES)
    _check_words("rerun.code", force.codes, [str(code) for code in Code])


def _check_words(option: str, given: Iterable[str], known: Sequence[str]) -> None:
    for word in given:
        if word not in known:
            near = get_close_matches(word.strip().lower(), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it must be one of {', '.join(known)}"
            raise RunError(Exit.USAGE, f"{option}: there is no {word!r}; {hint}")


def judge(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    ledger_files: Sequence[str],
    *,
    max_attempts: int,
    force: Force | None,
    limit: int = 0,
) -> None:
    """Make table `verdicts` from table `asked` and the ledger. Raises StoreError.

    With `force`, `asked` shrinks to the forced pictures, and to the first `limit` of those (0 = all).
    """
    load_past(connection, store, ledger_files)
    if force is not None:
        if not force.everything:
            _keep_forced(connection, force)
        if limit:
            connection.execute(f"""
                DELETE FROM asked WHERE ordinal NOT IN (SELECT ordinal FROM asked ORDER BY ordinal LIMIT {int(limit)})
                """)
    _find_taken(connection)
    # a budget that ended is no failed attempt: the next run has its own
    tried = f"p.attempt >= {int(max_attempts)} AND p.code <> '{Code.EXTRA_BUDGET_SPENT}'"
    final = f"p.status IN ('ok', 'rejected') OR NOT p.retriable OR ({tried})"
    skipped = "false" if force is not None else f"coalesce({final}, false)"
    connection.execute(f"""
        CREATE OR REPLACE TABLE verdicts AS
        WITH judged AS (
            SELECT ordinal, key, row_id, recipe, detail,
                CASE WHEN code <> '' THEN code
                     WHEN row_id IN (FROM taken_ids) THEN '{Code.DUPLICATE_ROW_ID}'
                     WHEN name IN (FROM taken_names) OR name IN (FROM clashing_names)
                     THEN '{Code.DUPLICATE_OUTPUT_NAME}' ELSE '' END AS new_code,
                code <> '' AS was_refused, name IN (FROM taken_names) AS is_taken
            FROM asked),
        firsts AS (SELECT key, min(ordinal) AS first FROM judged WHERE new_code = '' GROUP BY key)
        SELECT j.ordinal, j.recipe, j.new_code AS code,
            -- a refused picture must not speak for the key it would have had
            CASE WHEN new_code = '' OR was_refused THEN j.key
                 ELSE md5('refused|' || new_code || '|' || row_id || '|' || j.key) END AS key,
            CASE WHEN was_refused OR new_code = '' THEN j.detail
                 WHEN new_code = '{Code.DUPLICATE_ROW_ID}' THEN 'row_id: another row has it too'
                 WHEN is_taken THEN 'output_name: another row has it too'
                 ELSE 'output_name: one row''s file would be the folder of another''s, as with d and d.png/e'
                 END AS detail,
            CASE WHEN new_code <> '' THEN 'refused' WHEN {skipped} THEN 'skipped' ELSE 'make' END AS verdict,
            coalesce(f.first, j.ordinal) AS first,
            (coalesce(p.attempt, 0) + 1)::INTEGER AS attempt,
            coalesce(p.status, '') AS ledger_status
        FROM judged j LEFT JOIN firsts f ON f.key = j.key AND j.new_code = '' LEFT JOIN past p ON p.key = j.key""")


def load_past(connection: duckdb.DuckDBPyConnection, store: ObjectStore, ledger_files: Sequence[str]) -> None:
    """Make table `past`: what the ledger says of the keys in table `asked`. Raises StoreError."""
    register_ledger(connection, store, ledger_files)
    known = f"(SELECT {LEDGER_COLUMNS} FROM ledger_rows WHERE key IN (SELECT key FROM asked))"
    with reading_ledger():
        connection.execute(f"""
            CREATE OR REPLACE TABLE past AS {newest_sql(known, "key, status, code, retriable, attempt")}""")


def _keep_forced(connection: duckdb.DuckDBPyConnection, force: Force) -> None:
    """Leave only the forced pictures in `asked`."""
    if force.cells is not None:
        connection.execute("""
            DELETE FROM asked WHERE replaces = '' OR key IN (SELECT key FROM past WHERE status IN ('ok', 'rejected'))
            """)
        return
    if force.keys_file:
        load_keys(connection, "forced_keys", force.keys_file)
    else:
        connection.execute("CREATE OR REPLACE TABLE forced_keys (id VARCHAR)")
    matches = [
        f"{column} = {quoted(value)}"
        for column, wanted in (("status", force.statuses), ("code", force.codes))
        for value in wanted
    ]
    connection.execute(f"""
        DELETE FROM asked WHERE key NOT IN (
            SELECT key FROM past WHERE {" OR ".join(matches) or "false"} UNION ALL SELECT id FROM forced_keys)""")


def _find_taken(connection: duckdb.DuckDBPyConnection) -> None:
    """Find ids that several rows claim, names that several pictures claim, and a file's that must be a folder."""
    connection.execute(f"""
        CREATE OR REPLACE TABLE taken_ids AS SELECT row_id AS id FROM asked WHERE row_id <> key GROUP BY row_id
        HAVING min(ordinal // {ORDINALS_PER_ROW}) <> max(ordinal // {ORDINALS_PER_ROW});
        CREATE OR REPLACE TABLE taken_names AS SELECT name FROM asked WHERE name IS NOT NULL AND code = ''
        GROUP BY name HAVING count(*) > 1;
        CREATE OR REPLACE TABLE folders AS
        SELECT name, unnest(list_transform(range(1, len(parts)), lambda n: array_to_string(parts[1:n], '/'))) AS folder
        FROM (SELECT name, string_split(name, '/') AS parts FROM asked
              WHERE code = '' AND regexp_matches(name, '{_FILE_AS_FOLDER}'));
        CREATE OR REPLACE TABLE clashing_names AS
        SELECT unnest([a.name, f.name]) AS name FROM asked a JOIN folders f ON f.folder = a.file WHERE a.code = ''""")


def load_codes(connection: duckdb.DuckDBPyConnection) -> None:
    """Make table `codes`: code, what_to_do."""
    connection.execute("CREATE OR REPLACE TABLE codes (code VARCHAR, what_to_do VARCHAR)")
    connection.executemany(
        "INSERT INTO codes VALUES (?, ?)", [(str(code), facts.what_to_do) for code, facts in CODES.items()]
    )
