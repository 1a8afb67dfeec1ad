// Keys: decisions on the picture that is seen or focused, and ways through the big view.

/** The row that a decision key is about; null for none. */
function rowOfKey(target) {
  if (viewer.open) return viewedRow();
  const one = target.closest?.(".card");
  return one ? Number(one.dataset.row) : null;
}

/** Decide by a key; false when it is no key of a decision. */
function decideByKey(key, row) {
  const why = DATA.reasons[Number(key) - 1];
  if (key === "a") hooks.decide(row, "accepted");
  else if (key === "r") hooks.decide(row, "rejected", decisionOf(row).decision === "rejected" ? decisionOf(row).reason : "");
  else if (key === "u") hooks.decide(row, "");
  else if (/^[1-9]$/.test(key) && why) hooks.decide(row, "rejected", why);
  else return false;
  return true;
}

const IN_VIEW = {
  ArrowLeft: (event) => (event.shiftKey ? pan(-1, 0) : step(-1)),
  ArrowRight: (event) => (event.shiftKey ? pan(1, 0) : step(1)),
  ArrowUp: (event) => event.shiftKey && pan(0, -1),
  ArrowDown: (event) => event.shiftKey && pan(0, 1),
  z: () => zoom(!zoomed),
  c: compareNext,
};

function actInView(event) {
  if (event.key === " " && !event.target.closest("button, summary, a")) return step(1), true;
  const act = IN_VIEW[event.key];
  return act ? act(event) !== false : false;
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=checkbox]), select, textarea")) return;
  if (viewer.open && actInView(event)) return event.preventDefault();
  if (event.key === "/" && !viewer.open) return event.preventDefault(), at("search").focus();
  const row = rowOfKey(event.target);
  if (row !== null && canDecide(row) && decideByKey(event.key, row)) event.preventDefault();
});
