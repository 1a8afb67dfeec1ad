// Cards: one per picture. All text enters as text nodes; no markup is ever made from data.

const STATUS_WORDS = {
  ok: ["ok", "made in this run"],
  rejected: ["rejected", "asking again gives the same"],
  failed: ["failed", "may work another time"],
  skipped: ["skipped", "done before this run"],
  unfinished: ["not begun", "the run was stopped before"],
};

const COMPOSITE_WORDS = "what the mask keeps is the product photo's own pixels";

/** A new element: properties by name, then children; strings become text. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("aria-") || name === "role") element.setAttribute(name, value);
    else if (name === "data") Object.assign(element.dataset, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}

function number(value) {
  return value.toLocaleString("en");
}

/** Short name of what the picture shows, for labels and alternative texts. */
function nameOf(row) {
  const prompt = cell("prompt", row).replace(/\s+/g, " ").trim();
  const words = prompt.length > 120 ? `${prompt.slice(0, 119)}…` : prompt;
  return words || cell("output_name", row) || `row ${cell("row_id", row)}`;
}

/** A picture that says so, in its place, when it cannot be loaded. */
function picture(source, alt, className, lazy = true) {
  const image = make("img", { alt, className, decoding: "async" });
  if (lazy) image.loading = "lazy";
  image.addEventListener("error", () => image.replaceWith(blank("Picture not reachable")), { once: true });
  image.src = source;
  return image;
}

function blank(words) {
  return make("span", { className: "blank" }, words);
}

/** Thumbnail, or the full picture when there is none; null without a picture. */
function resultSource(row) {
  const path = cell("image_path", row);
  return path ? (cell("thumb", row) ? `thumbs/${cell("key", row)}.jpg` : path) : null;
}

function badge(row) {
  const status = statusOf(row);
  const before = cell("ledger_status", row);
  const words = status === "skipped" && before && before !== "ok" ? `skipped · ${before} before` : STATUS_WORDS[status]?.[0] ?? status;
  return make("span", { className: "badge", data: { status: isProblem(row) ? outcome(row) : status } }, words);
}

/** What the code means and what to do about it; null for pictures that are there. */
function reason(row) {
  const code = cell("code", row);
  if (!code) return null;
  const facts = DATA.codes[code];
  const todo = cell("what_to_do", row) || facts.what_to_do;
  const detail = cell("detail", row) ? make("bdi", { className: "detail" }, cell("detail", row)) : null;
  return make("p", { className: "reason" }, make("b", {}, sentence(facts.meaning)), detail, todo ? make("span", {}, `→ ${todo}`) : "");
}

function sentence(words) {
  return words ? words[0].toUpperCase() + words.slice(1) : "";
}

/** The upper part of a card: the picture, or of one that is not there its reference photo, dimmed. */
function cardFrame(row, open) {
  const source = resultSource(row);
  const first = [...referencesOf(row), ...inputsOf(row)].find((part) => part.source);
  const frame = make("button", { type: "button", className: "frame", "aria-label": `Enlarge: ${nameOf(row)}` });
  if (source) frame.append(picture(source, `Result: ${nameOf(row)}`, "result"));
  else if (first) {
    frame.append(picture(first.source, `${partAlt(row, first)}, no result`, "result dimmed"), make("span", { className: "caption" }, sentence(first.words)));
  } else frame.append(blank(statusOf(row) === "unfinished" ? "Not begun" : "No picture"));
  frame.addEventListener("click", () => open(row));
  return frame;
}

const STRIP_POINT = 0.045; // of the picture's long side: visible in 44 px
const STRIP_PARTS = 4;

/** Small beside the prompt: reference photos round, everything else square. */
function strip(row, parts) {
  const photos = referencesOf(row).slice(0, parts.length ? 2 : 4);
  const round = photos.map((part) => partShown(row, part, "reference", 0, true)).filter(Boolean);
  const square = parts.map((part) => named(partShown(row, part, "part", STRIP_POINT, true), part.words)).filter(Boolean);
  const shown = [...round, ...square.slice(0, STRIP_PARTS)];
  const more = square.length - STRIP_PARTS;
  return shown.length ? make("div", { className: "references" }, ...shown, more > 0 ? make("small", {}, `+${more}`) : null) : null;
}

function named(element, words) {
  if (element) element.title = words;
  return element;
}

/** What the card says below its frame: what the picture was made of, and its prompt. */
function said(row, why) {
  const parts = inputsOf(row);
  const words = cell("prompt", row) || (why ? "" : "no prompt"); // of a refused row the reason stands there already
  const shown = resultSource(row) ? strip(row, parts) : null;
  if (!shown && !words) return null;
  const prompt = words && make("p", { className: "prompt", dir: "auto" }, words);
  return make("div", { className: shown && parts.length ? "said stacked" : "said" }, shown, prompt);
}

/** Says that parts of the picture are a photo's own pixels. */
function compositeMark(row) {
  if (!resultSource(row) || givenOf(row).paste_back !== true) return null;
  return make("span", { className: "badge composite", title: COMPOSITE_WORDS }, "composite");
}

/** How like the face is to the reference photos', and before its own sampling where there was one; "" when not measured. */
function likeness(row) {
  const [before, after] = [cell("face_similarity_before", row), cell("face_similarity", row)];
  return [before, after].filter((value) => value !== null).map((value) => value.toFixed(2)).join(" → ");
}

function facts(row) {
  const labels = Object.keys(DATA.labels).filter((name) => name !== "sku");
  const parts = [cell("sku", row) || cell("row_id", row), ...labels.map((name) => cell(name, row))].filter(Boolean);
  const warnings = (cell("warnings", row) || []).length;
  return make(
    "footer",
    {},
    parts.length ? make("p", {}, parts.join(" · ")) : null,
    cell("recipe", row) ? make("p", {}, cell("recipe", row)) : null,
    cell("seed", row) === null ? null : make("p", {}, `seed ${cell("seed", row)}`),
    likeness(row) ? make("p", {}, `likeness ${likeness(row)}`) : null,
    cell("face_pass_result", row) === "no_face" ? make("p", {}, "face pass: no face") : null,
    warnings ? make("p", { className: "warned" }, warnings === 1 ? `⚠ ${cell("warnings", row)[0]}` : `⚠ ${warnings} warnings`) : null,
  );
}

/** One picture. `page` has open(row), isTicked(row) and tick(row, on). */
function card(row, page) {
  const box = make("input", { type: "checkbox", checked: page.isTicked(row), "aria-label": `Tick: ${nameOf(row)}` });
  box.addEventListener("change", () => page.tick(row, box.checked));
  const why = reason(row);
  return make(
    "article",
    { className: page.isTicked(row) ? "card ticked" : "card", data: { row, status: statusOf(row), problem: isProblem(row) ? "yes" : "no" } },
    cardFrame(row, page.open),
    make("div", { className: "card-top" }, badge(row), compositeMark(row), keyOf(row) ? make("label", { className: "tick" }, box) : null),
    make("div", { className: "card-body" }, why, said(row, why), facts(row)),
  );
}

/** Heading above the cards of one group. */
function groupHeading(label, value, rows, continued) {
  const bad = rows.filter(isProblem).length;
  const words = `${number(rows.length)} ${rows.length === 1 ? "picture" : "pictures"}${bad ? `, ${number(bad)} without a result` : ""}`;
  return make(
    "h2",
    { className: "group" },
    make("span", { className: "group-label" }, label),
    make("bdi", {}, value || "none"),
    make("small", {}, words + (continued ? " · continued" : "")),
  );
}
