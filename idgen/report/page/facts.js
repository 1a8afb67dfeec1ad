// What is known about one picture, beside it in the big view.

const FACE_PASS_WORDS = {
  done: "the face was sampled again",
  no_face: "no face found in the picture",
  large_enough: "the face was large enough",
  failed: "it failed; the face is as it was sampled first",
};
// findings of checks that have lines of their own; all others are shown under their names
const FINDINGS_SHOWN = ["face_pass_result", "face_similarity_before", "face_similarity"];

function viewerFacts(row) {
  const said = reason(row);
  return make(
    "div",
    { className: "viewer-facts" },
    make("p", { className: "viewer-badges" }, ...badges(row)),
    warningsOf(row),
    said ? make("div", { className: "viewer-reason" }, said) : null,
    said && !cell("prompt", row) ? null : quotation("Prompt", cell("prompt", row)),
    cell("negative_prompt", row) ? quotation("Negative prompt", cell("negative_prompt", row)) : null,
    definitions(lines(row)),
    triesOf(row),
    settingsOf(row),
  );
}

function quotation(label, words) {
  return make("section", {}, make("h3", {}, label), make("p", { className: "quotation", dir: "auto" }, words || "empty"));
}

function warningsOf(row) {
  const warnings = cell("warnings", row) || [];
  if (!warnings.length) return null;
  return make("section", {}, make("h3", {}, "Warnings"), make("ul", { className: "warnings" }, ...warnings.map((words) => make("li", {}, words))));
}

function lines(row) {
  const size = cell("width", row) && cell("height", row) ? `${cell("width", row)} × ${cell("height", row)} px` : null;
  const seconds = cell("seconds", row);
  const found = [
    ["Decided", decidedWords(row)],
    ["Recipe", cell("recipe", row)],
    ["Seed", cell("seed", row)],
    ["Size", size],
    ...Object.entries(DATA.labels).map(([name, title]) => [title, cell(name, row)]),
    ["Likeness", likeness(row) && `${likeness(row)} (1 = the same face)`],
    ["Face pass", FACE_PASS_WORDS[cell("face_pass_result", row)] ?? cell("face_pass_result", row)],
    ...Object.entries(DATA.findings).filter(([name]) => !FINDINGS_SHOWN.includes(name)).map(([name, title]) => [sentence(title), cell(name, row)]),
    ["Composite", compositeMark(row) && COMPOSITE_WORDS],
    ["Faces in the photo", (cell("reference_faces", row) || []).join(", ")],
    ["Row", cell("row_id", row)],
    ["Image of the row", cell("image_index", row)],
    ["Shop's name", cell("output_name", row)],
    ["Same pixels as", cell("duplicate_of", row)],
    ["Image near this one", cell("near_duplicate_of", row)],
    ["Published as", cell("named_path", row)],
    ["Replaces", cell("replaces", row)],
    ["Before it stood", cell("previous_key", row)],
    ["Try", cell("attempt", row)],
    ["Sampling", seconds === null ? null : `${seconds.toFixed(2)} s`],
    ["Finished", cell("finished_at", row).slice(0, 19)],
    ["Code", cell("code", row)],
    ["Key", cell("key", row)],
  ];
  return found.filter(([, value]) => value !== null && value !== "" && value !== undefined);
}

/** What was decided, by whom and when. */
function decidedWords(row) {
  const { recorded, date } = decisionOf(row);
  const by = recorded ? [cell("decided_by", row) && `by ${cell("decided_by", row)}`, cell("decided_at", row).slice(0, 10)] : [date?.slice(0, 10), "not recorded yet"];
  return decisionWords(row) && [decisionWords(row), ...by].filter(Boolean).join(", ");
}

/** Every try of the picture: its seed, what the gates said, what was measured. */
function triesOf(row) {
  let tries = [];
  try {
    tries = JSON.parse(cell("tries_made", row) || "[]");
  } catch {
    return null;
  }
  if (!Array.isArray(tries) || !tries.length) return null;
  const kept = (one) => String(one.seed) === cell("seed", row);
  const lines = tries.map((one) => make("li", {}, tryWords(one), kept(one) ? make("b", {}, " · kept") : null));
  return make("section", { className: "tries" }, make("h3", {}, "Tries"), make("ol", {}, ...lines));
}

function tryWords({ seed, verdict, ...measures }) {
  const scores = Object.entries(measures).filter(([, value]) => typeof value === "number");
  const words = scores.map(([name, value]) => `${measureWords(name) ?? name} ${+value.toFixed(3)}`);
  return [`seed ${seed}`, verdict, ...words].filter(Boolean).join(" · ");
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
