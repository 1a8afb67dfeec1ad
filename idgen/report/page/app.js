// The page: what is wished, pages of cards, ticks and decisions. Wishes stand in the address after the #.

const PER_PAGE = 48;
let wish = { ...EVERYTHING };
let rows = [];
let groups = null;
let page = 0;
let turn = 0; // of refreshes: a file that comes late belongs to an older one

const hooks = { open: (row) => view(rows, row), isTicked: (row) => ticked.has(keyOf(row)), tick, decide: decideAndPaint, closed: focusCard };

/** Take part of a wish, look again, and show the first page. */
function change(part) {
  wish = { ...wish, ...part };
  page = 0;
  refresh();
}

/** Find, order and show what is wished, when the columns that it takes are here. */
async function refresh() {
  const now = ++turn;
  paintChoices();
  writeAddress();
  const needs = ORDERS[wish.sort].needs ?? [];
  if (needs.some((name) => DATA.whole.includes(name) && !whole.has(name))) await bringColumns(needs);
  if (wish.search && SEARCHED.some((name) => DATA.whole.includes(name) && !whole.has(name))) await bringTexts();
  if (now !== turn) return;
  rows = filtered(wish);
  groups = wish.group ? Object.assign(groupsOf(rows, wish.group), { by: wish.group }) : null;
  ordered(rows, wish, groups);
  page = Math.min(page, Math.max(Math.ceil(rows.length / PER_PAGE) - 1, 0));
  paintPage();
}

const shownRows = () => rows.slice(page * PER_PAGE, (page + 1) * PER_PAGE);

function paintPage() {
  const shown = shownRows();
  const cards = [];
  shown.forEach((row, place) => {
    if (groups && (place === 0 || cell(wish.group, row) !== cell(wish.group, shown[place - 1]))) cards.push(heading(row, place));
    cards.push(card(row, hooks));
  });
  if (!shown.length) cards.push(make("p", { className: "nothing" }, "No picture fits. Take a filter away, or search for fewer words."));
  at("grid").replaceChildren(...cards);
  const first = page * PER_PAGE + 1;
  const more = DATA.tally.asked > DATA.rows ? ` Of ${number(DATA.tally.asked)} asked for, this page holds ${number(DATA.rows)}.` : "";
  at("found").textContent = (rows.length ? `${number(first)}–${number(first + shown.length - 1)} of ${number(rows.length)}.` : "None found.") + more;
  at("tick-page").disabled = at("tick-all").disabled = !rows.length;
  paintPager();
  completeCards(shown);
}

/** Bring what the cards' words need, and paint again the cards that were shown without. */
function completeCards(shown) {
  const bare = shown.filter((row) => !isHere(row));
  if (bare.length) bringDetails(bare).then(() => bare.filter(isHere).forEach(paintCard));
}

/** Paint one card again, if it is shown; the focus stays on the part of it that had it. */
function paintCard(row) {
  const old = at("grid").querySelector(`.card[data-row="${row}"]`);
  if (!old) return;
  const role = old.contains(document.activeElement) ? document.activeElement.dataset.role : "";
  const made = card(row, hooks);
  old.replaceWith(made);
  if (role) (made.querySelector(`[data-role="${role}"]`) ?? made.querySelector("button")).focus({ preventScroll: true });
}

/** After the big view the focus is on the picture that was seen last, wherever it is. */
function focusCard(row) {
  const place = rows.indexOf(row);
  if (place < 0) return;
  if (Math.floor(place / PER_PAGE) !== page) {
    page = Math.floor(place / PER_PAGE);
    paintPage();
    writeAddress();
  }
  at("grid").querySelector(`.card[data-row="${row}"] .frame`)?.focus();
}

function heading(row, place) {
  const group = groups.get(cell(wish.group, row));
  const label = wish.group === "code" && DATA.codes[group.value] ? sentence(DATA.codes[group.value].meaning) : group.value;
  const before = rows[page * PER_PAGE - 1];
  return groupHeading(groupLabels[wish.group], label, group, place === 0 && page > 0 && cell(wish.group, before) === group.value);
}

function paintPager() {
  const pages = Math.ceil(rows.length / PER_PAGE);
  const turner = (words, target, label) => button(words, () => turnTo(target), { disabled: target < 0 || target >= pages, "aria-label": label });
  const near = [...new Set([0, page - 1, page, page + 1, pages - 1])].filter((target) => target >= 0 && target < pages);
  const numbers = near.flatMap((target, place) => {
    const made = turner(number(target + 1), target, `Page ${target + 1}`);
    if (target === page) made.setAttribute("aria-current", "page");
    return place && target - near[place - 1] > 1 ? [make("span", { className: "gap" }, "…"), made] : [made];
  });
  at("pager").hidden = pages < 2;
  at("pager").replaceChildren(turner("← Previous", page - 1, "Previous page"), ...numbers, turner("Next →", page + 1, "Next page"));
}

function turnTo(target) {
  page = target;
  paintPage();
  writeAddress();
  toPictures();
}

function toPictures() {
  at("pictures").focus({ preventScroll: true });
  at("pictures").scrollIntoView();
}

function tick(row, on) {
  if (on) ticked.add(keyOf(row));
  else ticked.delete(keyOf(row));
  keep();
  paintTicks();
}

function tickMany(many) {
  many.filter(keyOf).forEach((row) => ticked.add(keyOf(row)));
  keep();
  paintTicks();
}

function decideAndPaint(row, decision, reason = "") {
  decide(row, decision, reason);
  for (const same of rowsWith("key", cell("key", row))) paintCard(same);
  if (viewer.open) paintDecision(), at("viewer-facts").replaceChildren(viewerFacts(viewedRow()));
  paintBar();
}

function paintTicks() {
  for (const one of at("grid").querySelectorAll(".card")) {
    const on = hooks.isTicked(Number(one.dataset.row));
    one.classList.toggle("ticked", on);
    const box = one.querySelector("input");
    if (box) box.checked = on;
  }
  paintBar();
}

/** The bar below the page: decisions and ticks that wait to be saved. */
function paintBar() {
  const count = (name) => [...decided.values()].filter((one) => one.decision === name).length;
  at("chosen").hidden = !ticked.size && !decided.size;
  document.body.classList.toggle("choosing", !at("chosen").hidden);
  at("decided").hidden = !decided.size;
  at("decided-count").textContent = `${number(count("accepted"))} accepted, ${number(count("rejected"))} rejected.`;
  at("decided-hint").textContent = keeps ? "Save them for review." : "This browser keeps nothing for this page: save before you close it.";
  at("ticks").hidden = !ticked.size;
  at("chosen-count").textContent = `${number(ticked.size)} ticked.`;
}

function writeAddress() {
  const kept = Object.entries(wish).filter(([, value]) => value);
  const parts = new URLSearchParams(page ? [...kept, ["page", page + 1]] : kept).toString();
  history.replaceState(null, "", `#${parts}`);
}

function readAddress() {
  const parts = new URLSearchParams(location.hash.slice(1));
  wish = Object.fromEntries(Object.keys(EVERYTHING).map((name) => [name, parts.get(name) ?? ""]));
  if (!Object.hasOwn(groupLabels, wish.group)) wish.group = "";
  if (!Object.hasOwn(ORDERS, wish.sort)) wish.sort = "";
  if (!Object.hasOwn(SHOWN, wish.show)) wish.show = "";
  page = Math.max((parseInt(parts.get("page"), 10) || 1) - 1, 0);
}

function listen() {
  listenToChoices();
  at("tick-page").addEventListener("click", () => tickMany(shownRows()));
  at("tick-all").addEventListener("click", () => tickMany(rows));
  at("untick").addEventListener("click", () => (ticked.clear(), keep(), paintTicks()));
  at("save").addEventListener("click", saveKeys);
  at("save-decisions").addEventListener("click", saveDecisions);
  document.querySelector(".skip").addEventListener("click", (event) => (event.preventDefault(), at("pictures").focus()));
  addEventListener("hashchange", () => (readAddress(), refresh()));
  addEventListener("storage", (event) => event.key === STORE && (restore(), paintPage(), paintBar()));
  addEventListener("beforeunload", (event) => !keeps && decided.size && event.preventDefault());
}

at("notes").hidden = !at("notes").childElementCount;
restore();
fillTally();
fillNext();
fillChoices();
listen();
readAddress();
refresh().then(() => (paintBar(), requestAnimationFrame(() => performance.mark("first cards"))));
