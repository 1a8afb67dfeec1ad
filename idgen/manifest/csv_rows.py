"""Reads CSV strictly: every row of the file becomes a row, or the file is refused with the number of the wrong line.

An empty cell is null and "" is empty text, which Python's csv cannot tell apart before 3.13; Arrow can, but takes a
quote that is never closed for a cell of a thousand lines, and loses line breaks at the edges of its blocks.
"""

from collections.abc import Iterator, Sequence

from idgen.columns import ADDRESSES, BY_NAME

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
MAX_CELL_CHARS = 4 * 2**20
_BREAKS = ("\n", "\r")

Row = list[str | None]


class CsvError(ValueError):
    """A file that cannot be taken apart; the text names the line and holds none of the file's own."""


def csv_rows(lines: Iterator[str], separator: str) -> Iterator[tuple[int, Row]]:
    """Yield every row with the number of its first line (from 1); lines without a character are none.

    `lines` come with their ends. Raises CsvError for a quote that is not closed, or closed in mid-cell.
    """
    count = 0
    for line in lines:
        count += 1
        first = count
        if '"' not in line:
            text = line.rstrip("\r\n")
            if text:
                yield first, [cell or None for cell in text.split(separator)]
            continue
        row: Row = []
        place = 0
        while place >= 0:
            if line.startswith('"', place):
                end, line, more = _closing(line, place, lines, count)
                row.append(line[place + 1 : end].replace('""', '"'))
                place = _after(line, end, separator, count, count + more)
                count += more
            else:
                end = line.find(separator, place)
                cell = line[place:] if end < 0 else line[place:end]
                row.append((cell if end >= 0 else cell.rstrip("\r\n")) or None)
                place = end + 1 if end >= 0 else -1
        yield first, row


def _closing(text: str, start: int, lines: Iterator[str], number: int) -> tuple[int, str, int]:
    """Return where the quote that opens at `start` is closed, the text so far, and how many lines were taken."""
    parts = [text]
    at, base, more = start + 1, 0, 0  # `at` counts in the last part, which begins at `base`
    while True:
        end = _lone_quote(parts[-1], at)
        if end >= 0:
            return base + end, "".join(parts), more
        base += len(parts[-1])
        following = next(lines, None)
        if following is None or base - start > MAX_CELL_CHARS:
            raise CsvError(f'line {number}: a quote (") opens a cell there and is never closed')
        parts.append(following)
        at, more = 0, more + 1


def _lone_quote(text: str, at: int) -> int:
    """Return the place of the first quote that is not doubled, or -1."""
    while (found := text.find('"', at)) >= 0 and text.startswith('"', found + 1):
        at = found + 2
    return found


def _after(text: str, end: int, separator: str, opened: int, closed: int) -> int:
    """Return where the next cell begins behind a closing quote, -1 at the end of the row."""
    if text.startswith(separator, end + 1):
        return end + 2
    if end + 1 == len(text) or text[end + 1] in _BREAKS:
        return -1
    if text[end - 1] == "\\":
        raise CsvError(f'line {closed}: a quote inside quotes is written \\" there; write it twice ("")')
    where = f"line {opened}" if opened == closed else f"line {opened} (it runs to line {closed})"
    raise CsvError(f'{where}: a quote (") opens a cell there and is not closed at the end of one')


def separator_of(header: str) -> str:
    """Return the separator of a file with this first line: the one that gives most known columns, else a comma."""
    return max(SEPARATORS, key=lambda separator: sum(name in BY_NAME for name in _names(header, separator)))


def _names(header: str, separator: str) -> list[str]:
    return [name.strip('"') for name in header.rstrip("\r\n").split(separator)]


def check_row(number: int, row: Row, names: Sequence[str], separator: str) -> None:
    """Raise CsvError for a row that has not one cell for each name, or a cell that seems to hold rows of the file."""
    if len(row) != len(names):
        raise CsvError(
            f"line {number} has too many or too few cells ({len(row)}, the header has {len(names)}, separated by "
            f"{SEPARATORS[separator]})"
        )
    for column, cell in enumerate(row):
        if cell and "\n" in cell and _holds_rows(cell, column, names, separator):
            raise CsvError(
                f'line {number}: a quote (") opens a cell there that spans {cell.count(chr(10)) + 1} lines, which '
                "look like separate rows; close the quote where it belongs"
            )


def _holds_rows(cell: str, column: int, names: Sequence[str], separator: str) -> bool:
    """Whether a cell swallowed rows: the end of its own, whole ones, and the beginning of one up to this column.

    Text of several lines may part so by chance, so one line must also have an address where the file has addresses;
    four lines say enough in a file without.
    """
    lines = [line.rstrip("\r").split(separator) for line in cell.split("\n")]
    lines[0] = [""] * column + lines[0]
    if len(names) < 2 or len(lines[-1]) != column + 1 or any(len(line) != len(names) for line in lines[:-1]):
        return False
    addresses = [at for at, name in enumerate(names) if name in ADDRESSES]
    seen = [line[at] for line in lines for at in addresses if at < len(line)]
    return any(_is_address(text) for text in seen) or (not seen and len(lines) > 3)


def _is_address(text: str) -> bool:
    return bool(text) and ("." in text or "/" in text) and not any(character.isspace() for character in text)
