// Orders of rows: by a rank per row; of groups, the group with the best ranked picture first.

const LIKENESS = "likeness";

function measureWords(name) {
  return name === DATA.ranked ? LIKENESS : DATA.findings[name];
}

/** Rank by a check's value, the worst first; pictures that were not measured last. */
function byMeasure(name) {
  const sign = DATA.measures[name] === "lower" ? -1 : 1;
  return (row) => (cell(name, row) === null ? Infinity : sign * cell(name, row));
}

/** Name -> words, rank of a row (least first), columns that it needs. */
const ORDERS = {
  "": { words: "Held first", rank: (row) => (isHeld(row) ? (cell("decision", row) ? 1 : 0) : 2) },
  manifest: { words: "Manifest", rank: () => 0 },
  problems: { words: "Problems first", rank: (row) => (isProblem(row) ? 0 : cell("warned", row) ? 1 : 2) },
  changed: { words: "Changed first", rank: (row) => (cell("changed", row) ? 0 : cell("status", row) === "ok" ? 1 : 2) },
  ...Object.fromEntries(
    Object.entries(DATA.measures).map(([name, better]) => {
      const words = `${better || name === DATA.ranked ? "Worst" : "Least"} ${measureWords(name)} first`;
      return [name, { words, rank: byMeasure(name), needs: [name] }];
    }),
  ),
  slowest: { words: "Slowest first", rank: (row) => -(cell("seconds", row) ?? -1), needs: ["seconds"] },
  newest: { words: "Newest first", rank: (row) => -(Date.parse(cell("finished_at", row)) || 0), needs: ["finished_at"] },
};

/** Order rows in place; rows of one group stay together. */
function ordered(rows, wish, groups) {
  const { rank } = ORDERS[wish.sort];
  const ranks = new Float64Array(DATA.rows);
  for (const row of rows) ranks[row] = rank(row);
  if (!groups) return rows.sort((a, b) => ranks[a] - ranks[b] || a - b);
  const places = groupPlaces(rows, groups, ranks);
  return rows.sort((a, b) => places[a] - places[b] || ranks[a] - ranks[b] || a - b);
}
