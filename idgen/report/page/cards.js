// Cards: one per picture, with what was decided of it.

const STATUS_WORDS = {
  ok: ["ok", "made in this run"],
  rejected: ["rejected", "asking again gives the same"],
  failed: ["failed", "may work another time"],
  skipped: ["skipped", "done before this run"],
  unfinished: ["not begun", "the run was stopped before"],
  held: ["held", "made, but beyond a bound"],
};

const COMPOSITE_WORDS = "what the mask keeps is the product photo's own pixels";

/** Short name of what the picture shows, for labels and alternative texts. */
function nameOf(row) {
  const prompt = cell("prompt", row).replace(/\s+/g, " ").trim();
  const words = prompt.length > 120 ? `${prompt.slice(0, 119)}…` : prompt;
  return words || cell("output_name", row) || `row ${cell("row_id", row)}`;
}

function badge(row) {
  const status = statusOf(row);
  const before = cell("ledger_status", row);
  const words = status === "skipped" && before && before !== "ok" ? `skipped · ${before} before` : STATUS_WORDS[status]?.[0] ?? status;
  return make("span", { className: "badge", data: { status: isProblem(row) ? outcome(row) : status } }, words);
}

function badges(row) {
  const held = isHeld(row) ? make("span", { className: "badge", data: { status: "held" }, title: STATUS_WORDS.held[1] }, "held") : null;
  const changed = cell("changed", row) ? make("span", { className: "badge changed", title: "another picture stood here before: compare in the big view" }, "changed") : null;
  return [held ?? badge(row), changed, compositeMark(row)];
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

/** The upper part of a card: the picture, or of one that is not there its reference photo, dimmed. */
function cardFrame(row, open) {
  const source = thumbOf(row);
  const first = [...referencesOf(row), ...inputsOf(row)].find((part) => part.source);
  const frame = make("button", { type: "button", className: "frame", "aria-label": `Enlarge: ${nameOf(row)}`, data: { role: "open" } });
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

/** What the card says below its frame: what the picture was made of, and its prompt. */
function said(row, why) {
  const parts = inputsOf(row);
  const words = cell("prompt", row) || (why || !isHere(row) ? "" : "no prompt"); // of a refused row the reason stands there already
  const shown = thumbOf(row) ? strip(row, parts) : null;
  if (!shown && !words) return null;
  const prompt = words && make("p", { className: "prompt", dir: "auto" }, words);
  return make("div", { className: shown && parts.length ? "said stacked" : "said" }, shown, prompt);
}

/** Says that parts of the picture are a photo's own pixels. */
function compositeMark(row) {
  if (!thumbOf(row) || givenOf(row).paste_back !== true) return null;
  return make("span", { className: "badge composite", title: COMPOSITE_WORDS }, "composite");
}

/** How like the face is to the reference photos', and before its own sampling where there was one; "" when not measured. */
function likeness(row) {
  const [before, after] = [cell("face_similarity_before", row), cell("face_similarity", row)];
  return [before, after].filter((value) => value !== null).map((value) => value.toFixed(2)).join(" → ");
}

/** Why a picture is held, in full; of others how many warnings there are. */
function warned(row) {
  const warnings = cell("warnings", row) || [];
  if (isHeld(row)) {
    const why = (words) => words.startsWith("held");
    const ordered = [...warnings].sort((a, b) => why(b) - why(a));
    return ordered.map((words, place) => make("p", { className: why(words) || !place ? "whole" : "warned cut", title: words }, words));
  }
  if (!warnings.length) return [];
  return [make("p", { className: "warned" }, warnings.length === 1 ? `⚠ ${warnings[0]}` : `⚠ ${warnings.length} warnings`)];
}

function factsBelow(row) {
  const labels = Object.keys(DATA.labels).filter((name) => name !== "sku");
  const parts = [cell("sku", row) || cell("row_id", row), ...labels.map((name) => cell(name, row))].filter(Boolean);
  return make(
    "footer",
    {},
    parts.length ? make("p", {}, parts.join(" · ")) : null,
    cell("recipe", row) ? make("p", {}, cell("recipe", row)) : null,
    cell("seed", row) === null ? null : make("p", {}, `seed ${cell("seed", row)}`),
    likeness(row) ? make("p", {}, `${LIKENESS} ${likeness(row)}`) : null,
    cell("face_pass_result", row) === "no_face" ? make("p", {}, "face pass: no face") : null,
    ...(isHeld(row) ? [] : warned(row)),
  );
}

/** The two buttons of a decision, and why a picture was rejected. `page` has decide(row, decision, reason). */
function choice(row, page) {
  if (!canDecide(row)) return null;
  const { decision, reason, recorded } = decisionOf(row);
  const press = (name, words, mark) =>
    button(mark, () => page.decide(row, decision === name && !recorded ? "" : name), {
      className: `press ${name}`, "aria-label": `${words}: ${nameOf(row)}`, "aria-pressed": String(decision === name), title: words, data: { role: name },
    });
  const why = decision === "rejected" && !recorded ? reasonChoice(row, reason, page) : make("span", { className: "decision", data: { decision } }, decisionWords(row));
  return make("div", { className: "choice" }, press("accepted", "Accept", "✓"), press("rejected", "Reject", "✕"), why);
}

/** What was decided, in words; "" when nothing was. */
function decisionWords(row) {
  const { decision, reason } = decisionOf(row);
  return [decision, decision && reason].filter(Boolean).join(": ");
}

function reasonChoice(row, reason, page) {
  const known = DATA.reasons.includes(reason) || !reason ? DATA.reasons : [reason, ...DATA.reasons];
  const list = make("select", { "aria-label": `Why rejected: ${nameOf(row)}`, data: { role: "reason" } }, make("option", { value: "" }, "rejected: why?"), ...known.map((words) => make("option", { value: words }, words)));
  list.value = reason;
  list.addEventListener("change", () => page.decide(row, "rejected", list.value));
  return list;
}

/** One picture. `page` has open(row), isTicked(row), tick(row, on) and decide(row, decision, reason). */
function card(row, page) {
  const box = make("input", { type: "checkbox", checked: page.isTicked(row), "aria-label": `Tick: ${nameOf(row)}`, data: { role: "tick" } });
  box.addEventListener("change", () => page.tick(row, box.checked));
  const why = reason(row);
  const { decision } = decisionOf(row);
  return make(
    "article",
    { className: page.isTicked(row) ? "card ticked" : "card", data: { row, status: statusOf(row), problem: isProblem(row) ? "yes" : "no", verdict: cell("verdict", row), decision } },
    cardFrame(row, page.open),
    make("div", { className: "card-top" }, ...badges(row), keyOf(row) ? make("label", { className: "tick" }, box) : null),
    choice(row, page),
    make("div", { className: "card-body" }, why, ...(isHeld(row) ? warned(row) : []), said(row, why), factsBelow(row)),
  );
}
