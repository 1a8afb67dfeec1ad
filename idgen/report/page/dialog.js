// The viewer: one picture large beside its references, and everything known about it.

const MANY_PARTS = 2;
const FACE_PASS_WORDS = {
  done: "the face was sampled again",
  no_face: "no face found in the picture",
  large_enough: "the face was large enough",
  failed: "it failed; the face is as it was sampled first",
};
// findings of checks that have lines of their own; all others are shown under their names
const FINDINGS_SHOWN = ["face_pass_result", "face_similarity_before", "face_similarity"];
const viewer = document.getElementById("viewer");
let viewed = { rows: [], at: 0 };

/** Open the viewer on a row of a list, which the arrow keys walk through. */
function view(rows, row) {
  viewed = { rows, at: Math.max(rows.indexOf(row), 0) };
  paintViewer();
  if (!viewer.open) viewer.showModal();
}

function step(by) {
  const at = viewed.at + by;
  if (at < 0 || at >= viewed.rows.length) return;
  viewed.at = at;
  paintViewer();
}

function paintViewer() {
  const row = viewed.rows[viewed.at];
  const body = document.getElementById("viewer-body");
  document.getElementById("viewer-place").textContent = `${number(viewed.at + 1)} of ${number(viewed.rows.length)}`;
  document.getElementById("viewer-previous").disabled = viewed.at === 0;
  document.getElementById("viewer-next").disabled = viewed.at === viewed.rows.length - 1;
  body.replaceChildren(viewerPictures(row), viewerFacts(row));
  body.scrollTop = 0;
}

function viewerPictures(row) {
  const path = cell("image_path", row);
  const result = path ? picture(path, `Result: ${nameOf(row)}`, "large", false) : blank("No picture");
  const parts = [...referencesOf(row), ...inputsOf(row)];
  const figures = parts.map((part) => make("figure", {}, partShown(row, part, "reference-large", 0.02, false) ?? blank("Not shown"), partCaption(part)));
  const place = path || !parts.length ? make("div", { className: "viewer-result" }, result) : null;
  const className = ["viewer-pictures", place ? "" : "without-result", parts.length > MANY_PARTS ? "many" : ""].filter(Boolean).join(" ");
  return make("div", { className }, place, make("div", { className: "viewer-references" }, ...figures));
}

function partCaption(part) {
  return make("figcaption", {}, make("span", { className: "words" }, sentence(part.words)), part.address ? make("bdi", {}, part.address) : null);
}

function viewerFacts(row) {
  const said = reason(row);
  return make(
    "div",
    { className: "viewer-facts" },
    make("p", { className: "viewer-badges" }, badge(row), compositeMark(row)),
    said ? make("div", { className: "viewer-reason" }, said) : null,
    said && !cell("prompt", row) ? null : quotation("Prompt", cell("prompt", row)),
    cell("negative_prompt", row) ? quotation("Negative prompt", cell("negative_prompt", row)) : null,
    warningsOf(row),
    definitions(lines(row)),
    settingsOf(row),
  );
}

function quotation(label, words) {
  return make("section", {}, make("h3", {}, label), make("p", { className: "quotation", dir: "auto" }, words || "empty"));
}

function warningsOf(row) {
  const warnings = cell("warnings", row) || [];
  if (!warnings.length) return null;
  return make("section", {}, make("h3", {}, "Warnings"), make("ul", {}, ...warnings.map((words) => make("li", {}, words))));
}

function lines(row) {
  const size = cell("width", row) && cell("height", row) ? `${cell("width", row)} × ${cell("height", row)} px` : null;
  const seconds = cell("seconds", row);
  const found = [
    ["Recipe", cell("recipe", row)],
    ["Seed", cell("seed", row)],
    ["Size", size],
    ...Object.entries(DATA.labels).map(([name, title]) => [title, cell(name, row)]),
    ["Likeness", likeness(row) && `${likeness(row)} (1 = the same face)`],
    ["Face pass", FACE_PASS_WORDS[cell("face_pass_result", row)] ?? cell("face_pass_result", row)],
    ...Object.entries(DATA.findings).filter(([name]) => !FINDINGS_SHOWN.includes(name)).map(([name, title]) => [title, cell(name, row)]),
    ["Composite", compositeMark(row) && COMPOSITE_WORDS],
    ["Faces in the photo", (cell("reference_faces", row) || []).join(", ")],
    ["Row", cell("row_id", row)],
    ["Image of the row", cell("image_index", row)],
    ["Shop's name", cell("output_name", row)],
    ["Same pixels as", cell("duplicate_of", row)],
    ["Replaces", cell("replaces", row)],
    ["Try", cell("attempt", row)],
    ["Sampling", seconds === null ? null : `${seconds.toFixed(2)} s`],
    ["Finished", cell("finished_at", row).slice(0, 19)],
    ["Code", cell("code", row)],
    ["Key", cell("key", row)],
  ];
  return found.filter(([, value]) => value !== null && value !== "" && value !== undefined);
}

function definitions(pairs) {
  return make("dl", {}, ...pairs.flatMap(([label, value]) => [make("dt", {}, label), make("dd", {}, make("bdi", {}, String(value)))]));
}

function settingsOf(row) {
  const pairs = [...objectOf(cell("settings", row)), ...objectOf(cell("carried", row))];
  if (!pairs.length) return null;
  return make("details", {}, make("summary", {}, "All settings"), definitions(pairs));
}

function objectOf(text) {
  try {
    const value = JSON.parse(text || "{}");
    const pairs = Object.entries(value).filter(([, inner]) => inner !== null);
    return pairs.map(([name, inner]) => [name, typeof inner === "object" ? JSON.stringify(inner) : inner]);
  } catch {
    return [];
  }
}

document.getElementById("viewer-previous").addEventListener("click", () => step(-1));
document.getElementById("viewer-next").addEventListener("click", () => step(1));
document.getElementById("viewer-close").addEventListener("click", () => viewer.close());
viewer.addEventListener("click", (event) => event.target === viewer && viewer.close());
viewer.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
