// What is asked of the rows: how they ended, where their pictures are, which of them pass a filter.

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

/** True for a picture that a gate holds back and no person has decided on. */
function isHeld(row) {
  return cell("verdict", row) === "held" && !cell("decision", row);
}

/** What stands in a key file for the row: its key, or its row_id when the plan refused it before it had one. */
function keyOf(row) {
  return cell("key", row) || cell("row_id", row);
}

/** Address of the full picture, "" without one, and in a packed gallery without the full pictures. */
function imageOf(row) {
  const path = cell("image_path", row);
  if (!path || !DATA.full_images) return "";
  const key = cell("key", row);
  return DATA.to_output + (path.includes("/") || path.includes(".") ? path : `images/${key.slice(0, 2)}/${key}.${path}`);
}

/** Address of the thumbnail, or of the full picture when there is none; "" without a picture. */
function thumbOf(row) {
  if (!cell("image_path", row) || !cell("thumb", row)) return imageOf(row);
  return thumbOfKey(cell("key", row));
}

function thumbOfKey(key) {
  return `${DATA.to_output}thumbs/${key.slice(0, 2)}/${key}.webp`;
}

// DATA.labels: columns that the shop calls its rows by -> title, as idgen/columns.py has them
const SEARCHED = ["prompt", "row_id", "key", ...Object.keys(DATA.labels), "output_name", "code", "detail", "recipe", "seed"];
let texts = [];

function searchText(row) {
  return (texts[row] ??= SEARCHED.map((name) => cell(name, row) ?? "").join("\n").toLowerCase());
}

/** Bring what a search looks through. */
async function bringTexts() {
  await bringColumns(SEARCHED);
  texts = [];
}

/** A filter that lets everything through. */
const EVERYTHING = Object.freeze({ status: "", show: "", code: "", recipe: "", sku: "", person_id: "", search: "", group: "", sort: "" });

const SHOWN = {
  undecided: ["not decided", (row) => canDecide(row) && !decisionOf(row).decision],
  accepted: ["accepted", (row) => decisionOf(row).decision === "accepted"],
  rejected: ["rejected by a person", (row) => decisionOf(row).decision === "rejected"],
  changed: ["another than before", (row) => cell("changed", row)],
  made: ["made in this run", (row) => cell("status", row) === "ok"],
  warned: ["with warnings", (row) => cell("warned", row) > 0],
};

/** Rows that pass the filter, in the manifest's order. */
function filtered(wish) {
  const words = wish.search.toLowerCase().split(/\s+/).filter(Boolean);
  const [sku, person] = [wish.sku.toLowerCase(), wish.person_id.toLowerCase()];
  const tests = [
    wish.status && (wish.status === "held" ? isHeld : (row) => statusOf(row) === wish.status),
    wish.show && SHOWN[wish.show][1],
    wish.code && ((row) => cell("code", row) === wish.code),
    wish.recipe && ((row) => cell("recipe", row) === wish.recipe),
    sku && ((row) => cell("sku", row).toLowerCase().includes(sku)),
    person && ((row) => cell("person_id", row).toLowerCase().includes(person)),
    words.length && ((row) => words.every((word) => searchText(row).includes(word))),
  ].filter(Boolean);
  const found = [];
  for (let row = 0; row < DATA.rows; row++) if (tests.every((test) => test(row))) found.push(row);
  return found;
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
