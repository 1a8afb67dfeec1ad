// The data and what is asked of them: cells, filters, order. Nothing here touches the page.

const DATA = JSON.parse(document.getElementById("data").textContent);

/** Value of a column in a row; columns whose values repeat hold each value once. */
function cell(name, row) {
  const column = DATA.columns[name];
  return Array.isArray(column) ? column[row] : column.values[column.at[row]];
}

/** The row's status; of a picture that a stopped run never began, "unfinished". */
function statusOf(row) {
  return cell("status", row) || "unfinished";
}

/** Status that matters for the picture itself: of an earlier run's row, what that run left in the ledger. */
function outcome(row) {
  const status = cell("status", row);
  return status === "skipped" ? cell("ledger_status", row) || "skipped" : status;
}

/** True for a picture that is not there and will not come by itself. */
function isProblem(row) {
  return ["rejected", "failed"].includes(outcome(row));
}

/** What stands in a key file for the row: its key, or its row_id when the plan refused it before it had one. */
function keyOf(row) {
  return cell("key", row) || cell("row_id", row);
}

// DATA.labels: columns that the shop calls its rows by -> title, as idgen/columns.py has them
const SEARCHED = ["prompt", "row_id", "key", ...Object.keys(DATA.labels), "output_name", "code", "detail", "recipe", "seed"];
const texts = new Map();

function searchText(row) {
  let text = texts.get(row);
  if (text === undefined) {
    text = SEARCHED.map((name) => cell(name, row) ?? "").join("\n").toLowerCase();
    texts.set(row, text);
  }
  return text;
}

/** A filter that lets everything through. */
const EVERYTHING = Object.freeze({ status: "", code: "", recipe: "", sku: "", person_id: "", search: "", group: "", sort: "" });

/** Rows that pass the filter, in its order; groups stay together. */
function select(wish) {
  const words = wish.search.toLowerCase().split(/\s+/).filter(Boolean);
  const sku = wish.sku.toLowerCase();
  const person = wish.person_id.toLowerCase();
  const found = [];
  for (let row = 0; row < DATA.rows; row++) {
    if (wish.status && statusOf(row) !== wish.status) continue;
    if (wish.code && cell("code", row) !== wish.code) continue;
    if (wish.recipe && cell("recipe", row) !== wish.recipe) continue;
    if (sku && !cell("sku", row).toLowerCase().includes(sku)) continue;
    if (person && !cell("person_id", row).toLowerCase().includes(person)) continue;
    if (words.length && !words.every((word) => searchText(row).includes(word))) continue;
    found.push(row);
  }
  return order(found, wish);
}

const RANK = {
  problems: (row) => (isProblem(row) ? 0 : (cell("warnings", row) || []).length ? 1 : 2),
  slowest: (row) => -(cell("seconds", row) ?? -1),
  newest: (row) => -(Date.parse(cell("finished_at", row)) || 0),
};

function order(rows, wish) {
  const rank = RANK[wish.sort];
  const ranks = rank && new Map(rows.map((row) => [row, rank(row)]));
  const groups = wish.group && groupRanks(rows, wish.group);
  if (!ranks && !groups) return rows;
  return rows.sort(
    (a, b) =>
      (groups ? groups.get(cell(wish.group, a)) - groups.get(cell(wish.group, b)) : 0) ||
      (ranks ? ranks.get(a) - ranks.get(b) : 0) ||
      a - b,
  );
}

/** Place of each group's name: 9 before 10, nameless rows last. */
function groupRanks(rows, name) {
  const names = [...new Set(rows.map((row) => cell(name, row)))];
  const collator = new Intl.Collator("en", { numeric: true });
  names.sort((a, b) => (a === "") - (b === "") || collator.compare(a, b));
  return new Map(names.map((value, place) => [value, place]));
}

/** Distinct values of a column with how often they stand there, most frequent first. */
function tally(name) {
  const counts = new Map();
  for (let row = 0; row < DATA.rows; row++) {
    const value = cell(name, row);
    if (value !== "" && value !== null) counts.set(value, (counts.get(value) || 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1]);
}
