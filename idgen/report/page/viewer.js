// The big view: one picture, what it is compared with, everything known about it, and the decision.

const viewer = at("viewer");
let viewed = { rows: [], place: 0 };
let compared = ""; // id of what the picture is compared with

const viewedRow = () => viewed.rows[viewed.place];

/** Open the big view on a row of a list, which the arrow keys walk through. */
function view(rows, row) {
  viewed = { rows, place: Math.max(rows.indexOf(row), 0) };
  paintViewer();
  if (!viewer.open) viewer.showModal();
}

function step(by) {
  const place = viewed.place + by;
  if (place < 0 || place >= viewed.rows.length) return;
  viewed.place = place;
  zoomed = false;
  paintViewer();
}

function paintViewer() {
  const row = viewedRow();
  at("viewer-place").textContent = `${number(viewed.place + 1)} of ${number(viewed.rows.length)}`;
  at("viewer-previous").disabled = viewed.place === 0;
  at("viewer-next").disabled = viewed.place === viewed.rows.length - 1;
  paintParts(row);
  at("viewer-body").scrollTop = 0;
  if (!isHere(row)) bringDetails([row]).then(() => viewer.open && viewedRow() === row && isHere(row) && paintParts(row));
  bringDetails(viewed.rows.slice(viewed.place + 1, viewed.place + 3)); // the next ones are likely
}

function paintParts(row) {
  paintComparison(row);
  at("viewer-references").replaceChildren(...partsBeside(row));
  at("viewer-references").classList.toggle("many", at("viewer-references").childElementCount > 2);
  at("viewer-facts").replaceChildren(viewerFacts(row));
  paintDecision();
}

function partsBeside(row) {
  const parts = [...referencesOf(row), ...inputsOf(row)];
  return parts.map((part) => {
    const shown = partShown(row, part, "reference-large", 0.02, false) ?? blank("Not shown");
    const inside = part.source ? button(shown, () => compareWith(part.words), { className: "part-button", "aria-label": `Compare with: ${part.words}`, title: "Compare" }) : shown;
    return make("figure", {}, inside, partCaption(part));
  });
}

function partCaption(part) {
  return make("figcaption", {}, make("span", { className: "words" }, sentence(part.words)), part.address ? make("bdi", {}, part.address) : null);
}

function paintComparison(row) {
  const others = comparable(row);
  const other = others.find((one) => one.id === compared);
  const list = at("viewer-compare");
  list.replaceChildren(make("option", { value: "" }, "nothing"), ...others.map((one) => make("option", { value: one.id }, one.words)));
  list.value = other ? compared : "";
  list.disabled = !others.length;
  const own = { source: imageOf(row) || thumbOf(row), alt: `Result: ${nameOf(row)}`, words: other ? "This picture" : "" };
  fillStage(other ? [own, { source: other.source, alt: other.words, words: other.words }] : [own]);
}

function compareWith(id) {
  compared = compared === id ? "" : id;
  paintComparison(viewedRow());
}

/** The next thing to compare with, after the last one nothing. */
function compareNext() {
  const ids = ["", ...comparable(viewedRow()).map((one) => one.id)];
  compared = ids[(ids.indexOf(compared) + 1) % ids.length];
  paintComparison(viewedRow());
}

/** The bar with accept, reject and the reasons; the focus stays where it was. */
function paintDecision() {
  const row = viewedRow();
  const bar = at("viewer-decision");
  const role = bar.contains(document.activeElement) ? document.activeElement.dataset.role : "";
  bar.hidden = !canDecide(row);
  const { decision, reason, recorded } = decisionOf(row);
  const press = (name, words, key) => button(words, () => hooks.decide(row, name), { className: `press wide ${name}`, "aria-pressed": String(decision === name), "aria-keyshortcuts": key, title: `key ${key}`, data: { role: name } });
  const why = DATA.reasons.map((words, place) =>
    button("", () => hooks.decide(row, "rejected", words), { className: "why", "aria-pressed": String(decision === "rejected" && reason === words), "aria-keyshortcuts": String(place + 1), data: { role: `why${place}` } }),
  );
  why.forEach((one, place) => one.append(make("kbd", {}, String(place + 1)), DATA.reasons[place]));
  const back = decision && !recorded ? button("Take back", () => hooks.decide(row, ""), { "aria-keyshortcuts": "u", title: "key u", data: { role: "back" } }) : null;
  bar.replaceChildren(press("accepted", "✓ Accept", "a"), press("rejected", "✕ Reject", "r"), make("div", { className: "whys", role: "group", "aria-label": "Why rejected" }, ...why), ...[back].filter(Boolean));
  if (role) (bar.querySelector(`[data-role="${role}"]`) ?? bar.querySelector("button")).focus();
}

at("viewer-previous").addEventListener("click", () => step(-1));
at("viewer-next").addEventListener("click", () => step(1));
at("viewer-close").addEventListener("click", () => viewer.close());
at("viewer-compare").addEventListener("change", () => ((compared = at("viewer-compare").value), paintComparison(viewedRow())));
viewer.addEventListener("click", (event) => event.target === viewer && viewer.close());
viewer.addEventListener("close", () => hooks.closed(viewedRow()));
