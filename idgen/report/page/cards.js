// Cards: one per picture. All text enters as text nodes; no markup is ever made from data.

const STATUS_WORDS = {
  ok: ["ok", "made in this run"],
  rejected: ["rejected", "asking again gives the same"],
  failed: ["failed", "may work another time"],
  skipped: ["skipped", "done before this run"],
  unfinished: ["not begun", "the run was stopped before"],
};

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

/** References with a thumbnail, as [path, redacted address]. */
function referencesOf(row) {
  const addresses = cell("reference_uris", row) || [];
  return addresses.map((address, at) => [cell("reference_thumbs", row)[at] || "", address]);
}

function referenceAlt(row, at) {
  const person = cell("person_id", row);
  const many = (cell("reference_uris", row) || []).length > 1 ? ` ${at + 1}` : "";
  return `Reference photo${many}${person ? ` of ${person}` : ""}`;
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
  const [first] = referencesOf(row).filter(([thumb]) => thumb);
  const frame = make("button", { type: "button", className: "frame", "aria-label": `Enlarge: ${nameOf(row)}` });
  if (source) frame.append(picture(source, `Result: ${nameOf(row)}`, "result"));
  else if (first) {
    frame.append(picture(first[0], `${referenceAlt(row, 0)}, no result`, "result dimmed"), make("span", { className: "caption" }, "Reference photo"));
  } else frame.append(blank(statusOf(row) === "unfinished" ? "Not begun" : "No picture"));
  frame.addEventListener("click", () => open(row));
  return frame;
}

function strip(row) {
  const shown = referencesOf(row).map(([thumb], at) => thumb && picture(thumb, referenceAlt(row, at), "reference"));
  const kept = shown.filter(Boolean).slice(0, 4);
  return kept.length && resultSource(row) ? make("div", { className: "references" }, ...kept) : null;
}

function facts(row) {
  const parts = [cell("sku", row), cell("person_id", row), cell("shot", row)].filter(Boolean);
  const warnings = (cell("warnings", row) || []).length;
  return make(
    "footer",
    {},
    parts.length ? make("p", {}, parts.join(" · ")) : null,
    cell("recipe", row) ? make("p", {}, cell("recipe", row)) : null,
    cell("seed", row) === null ? null : make("p", {}, `seed ${cell("seed", row)}`),
    warnings ? make("p", { className: "warned" }, warnings === 1 ? `⚠ ${cell("warnings", row)[0]}` : `⚠ ${warnings} warnings`) : null,
  );
}

/** One picture. `page` has open(row), isTicked(row) and tick(row, on). */
function card(row, page) {
  const box = make("input", { type: "checkbox", checked: page.isTicked(row), "aria-label": `Tick: ${nameOf(row)}` });
  box.addEventListener("change", () => page.tick(row, box.checked));
  const prompt = make("p", { className: "prompt", dir: "auto" }, cell("prompt", row) || "no prompt");
  return make(
    "article",
    { className: page.isTicked(row) ? "card ticked" : "card", data: { row, status: statusOf(row), problem: isProblem(row) ? "yes" : "no" } },
    cardFrame(row, page.open),
    make("div", { className: "card-top" }, badge(row), keyOf(row) ? make("label", { className: "tick" }, box) : null),
    make("div", { className: "card-body" }, reason(row), make("div", { className: "said" }, strip(row), prompt), facts(row)),
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
