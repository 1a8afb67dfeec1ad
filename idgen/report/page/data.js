// The data: cells, and files beside the page that bring further cells. Nothing here touches what is shown.

const DATA = JSON.parse(document.getElementById("data").textContent);

const pieces = new Map(); // number of a piece of rows -> its columns
const whole = new Map(); // name -> column of all rows
const asked = new Map(); // file -> promise

function unpack(column, place) {
  if (Array.isArray(column)) return column[place];
  return "all" in column ? column.all : column.values[column.at[place]];
}

/** Value of a column in a row; empty while the file that holds it has not come. */
function cell(name, row) {
  const column = DATA.columns[name] ?? whole.get(name);
  if (column) return unpack(column, row);
  const values = DATA.piece_rows ? pieces.get(Math.floor(row / DATA.piece_rows))?.[name] : undefined;
  return values?.[row % DATA.piece_rows] ?? DATA.empty[name] ?? null;
}

/** True when everything about the row is here. */
function isHere(row) {
  return !DATA.piece_rows || pieces.has(Math.floor(row / DATA.piece_rows));
}

/** Bring everything about the rows; resolves also when a file cannot be had. */
function bringDetails(rows) {
  const missing = new Set(rows.filter((row) => !isHere(row)).map((row) => Math.floor(row / DATA.piece_rows)));
  return Promise.allSettled([...missing].map((piece) => bring(`details/${String(piece).padStart(4, "0")}.js`)));
}

/** Bring whole columns, for an order or a search. */
function bringColumns(names) {
  const missing = names.filter((name) => DATA.whole.includes(name) && !whole.has(name));
  return Promise.allSettled(missing.map((name) => bring(`columns/${name}.js`)));
}

/** The only addresses that a script of this page may come from. */
function checked(file) {
  if (!/^(details|columns)\/[a-z0-9_]+\.js$/.test(file)) throw new TypeError("no file of this page");
  return file;
}

// the policy of the page lets no other address become a script's
const addresses = (DATA.piece_rows && globalThis.trustedTypes?.createPolicy("idgen-data", { createScriptURL: checked })) || { createScriptURL: checked };
const nonce = document.querySelector("script[type=module]").nonce;

function bring(file) {
  if (!asked.has(file)) asked.set(file, new Promise((done, fail) => load(file, done, fail)));
  return asked.get(file);
}

function load(file, done, fail) {
  const script = document.createElement("script");
  script.nonce = nonce;
  script.addEventListener("load", () => (script.remove(), done()));
  script.addEventListener("error", () => (script.remove(), asked.delete(file), fail(new Error(file))));
  script.src = addresses.createScriptURL(file);
  document.head.append(script);
}

/** What the files call with their own name and their data as text. */
globalThis.idgenData = (file, text) => {
  const [folder, name] = file.replace(".js", "").split("/");
  if (folder === "details") pieces.set(Number(name), JSON.parse(text));
  else whole.set(name, JSON.parse(text));
};
