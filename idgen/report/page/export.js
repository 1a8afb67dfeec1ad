// Files that people save: decisions.csv for `review`, keys for `select.file=`.

/** A cell of a CSV file after RFC 4180, in which a spreadsheet sees no formula. */
function csvCell(text) {
  const safe = /^[=+\-@\t\r\n]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function decisionsFile() {
  const lines = [...decided].map(([key, one]) => [key, one.row_id, one.decision, one.reason, one.date]);
  return [["key", "row_id", "decision", "reason", "date"], ...lines].map((line) => `${line.map(csvCell).join(",")}\r\n`).join("");
}

function saveFile(name, text, type) {
  const link = make("a", { download: name, href: URL.createObjectURL(new Blob([text], { type })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function saveDecisions() {
  saveFile("decisions.csv", decisionsFile(), "text/csv");
}

function saveKeys() {
  saveFile(`keys-${DATA.run_id}.txt`, `${[...ticked].join("\n")}\n`, "text/plain");
}
