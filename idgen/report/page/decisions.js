// What people decide and tick: kept in this browser under the catalogue and the run, where it keeps anything.

const STORE = `idgen:${DATA.catalogue}:${DATA.run_id}`;
const DECISIONS = ["accepted", "rejected"];
const ticked = new Set(); // keys
const decided = new Map(); // key -> {decision, reason, date, row_id}, not recorded in the catalogue yet
let keeps = true; // whether this browser keeps it: a page from a folder may not be allowed to

/** Take what was kept; what the catalogue has recorded since is dropped. */
function restore() {
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem(STORE)) ?? {};
  } catch {
    keeps = false;
  }
  ticked.clear();
  decided.clear();
  for (const key of Array.isArray(kept.ticked) ? kept.ticked : []) ticked.add(String(key));
  for (const [key, one] of Object.entries(kept.decided ?? {})) {
    if (!DECISIONS.includes(one?.decision)) continue;
    decided.set(key, Object.fromEntries(["decision", "reason", "date", "row_id"].map((name) => [name, String(one[name] ?? "")])));
  }
  for (let row = 0; decided.size && row < DATA.rows; row++) forgetRecorded(row);
}

function forgetRecorded(row) {
  const one = decided.get(cell("key", row));
  if (one && one.decision === cell("decision", row) && one.reason === cell("decision_reason", row)) decided.delete(cell("key", row));
}

function keep() {
  try {
    localStorage.setItem(STORE, JSON.stringify({ ticked: [...ticked], decided: Object.fromEntries(decided) }));
    keeps = true;
  } catch {
    keeps = false;
  }
}

/** Whether there is a picture to decide on. */
function canDecide(row) {
  return cell("key", row) !== "" && cell("image_path", row) !== "";
}

/** What was decided of the row: {decision, reason, recorded}; decision "" = nothing yet. */
function decisionOf(row) {
  const one = decided.get(cell("key", row));
  if (one) return { ...one, recorded: false };
  return { decision: cell("decision", row), reason: cell("decision_reason", row), recorded: true };
}

/** Decide on the row's picture; the decision "" takes back what is not recorded. */
function decide(row, decision, reason = "") {
  if (!canDecide(row)) return;
  if (!decision) decided.delete(cell("key", row));
  else decided.set(cell("key", row), { decision, reason, date: `${new Date().toISOString().slice(0, 19)}Z`, row_id: cell("row_id", row) });
  forgetRecorded(row);
  keep();
}
