"""The table of manifests/README.md, made from the columns and their checks.

python -m idgen.manifest.page manifests/README.md        # writes the table between its two marks
"""

import sys
from pathlib import Path

import pyarrow as pa

from idgen.column import Column
from idgen.columns import COLUMNS

BEGIN = "<!-- columns: made by `python -m idgen.manifest.page manifests/README.md` -->"
END = "<!-- end of columns -->"


def schema_table() -> str:
    """Return the columns as a Markdown table."""
    lines = ["| column | type | part | for | meaning |", "|---|---|---|---|---|"]
    lines += [
        f"| `{column.name}` | {_type_name(column)} | {column.scope} | {_recipes(column)} | {column.meaning} |"
        for column in COLUMNS
    ]
    return "\n".join(lines)


def with_table(page: str) -> str:
    """Return the page with a new table between its marks. Raises ValueError when a mark is missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError("the page has no marks for the table")
    return f"{before}{BEGIN}\n{schema_table()}\n{END}{after}"


def _recipes(column: Column) -> str:
    if not column.common:
        return "recipes that list it"
    return f"every recipe with {column.need}" if column.need else "every recipe"


def _type_name(column: Column) -> str:
    type_ = column.type
    if pa.types.is_map(type_):
        return "map of string to float32"
    if pa.types.is_list(type_):
        return f"list of {_plain_name(type_.value_type)}"
    return _plain_name(type_)


def _plain_name(type_: pa.DataType) -> str:
    return "float32" if pa.types.is_float32(type_) else str(type_)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(with_table(target.read_text(encoding="utf-8")), encoding="utf-8")
