// The page: controls, pages of cards, ticks. Its state stands in the address after the #, so a view can be shared.

const PER_PAGE = 48;
const LONGEST_LIST = 2000;
const REASONS_SHOWN = 6;
const at = (id) => document.getElementById(id);
const ticked = new Set();
let wish = { ...EVERYTHING };
let rows = [];
let page = 0;

const groupLabels = { sku: DATA.labels.sku, person_id: DATA.labels.person_id, recipe: "Recipe", code: "Reason" };
const sorts = { "": "Manifest", problems: "Problems first", slowest: "Slowest first", newest: "Newest first" };
const hooks = { open: (row) => view(rows, row), isTicked: (row) => ticked.has(keyOf(row)), tick };

/** Take part of a wish, look again, and show the first page. */
function change(part) {
  wish = { ...wish, ...part };
  page = 0;
  refresh();
}

function refresh() {
  rows = select(wish);
  page = Math.min(page, Math.max(Math.ceil(rows.length / PER_PAGE) - 1, 0));
  paintControls();
  paintPage();
  writeAddress();
}

function paintPage() {
  const shown = rows.slice(page * PER_PAGE, (page + 1) * PER_PAGE);
  const cards = [];
  shown.forEach((row, place) => {
    if (wish.group && (place === 0 || cell(wish.group, row) !== cell(wish.group, shown[place - 1]))) cards.push(heading(row, place));
    cards.push(card(row, hooks));
  });
  if (!shown.length) cards.push(make("p", { className: "nothing" }, "No picture fits. Take a filter away, or search for fewer words."));
  at("grid").replaceChildren(...cards);
  const first = page * PER_PAGE + 1;
  const more = DATA.tally.asked > DATA.rows ? ` Of ${number(DATA.tally.asked)} asked for, this page holds ${number(DATA.rows)}.` : "";
  at("found").textContent = (rows.length ? `${number(first)}–${number(first + shown.length - 1)} of ${number(rows.length)}.` : "None found.") + more;
  at("tick-page").disabled = at("tick-all").disabled = !rows.length;
  paintPager();
}

function heading(row, place) {
  const value = cell(wish.group, row);
  const inside = rows.filter((other) => cell(wish.group, other) === value);
  const label = wish.group === "code" && DATA.codes[value] ? sentence(DATA.codes[value].meaning) : value;
  return groupHeading(groupLabels[wish.group], label, inside, place === 0 && page > 0 && inside[0] !== row);
}

function paintPager() {
  const pages = Math.ceil(rows.length / PER_PAGE);
  const button = (words, target, label) => {
    const made = make("button", { type: "button", className: "quiet", disabled: target < 0 || target >= pages, "aria-label": label }, words);
    made.addEventListener("click", () => turnTo(target));
    return made;
  };
  const near = [...new Set([0, page - 1, page, page + 1, pages - 1])].filter((number) => number >= 0 && number < pages);
  const numbers = near.flatMap((target, place) => {
    const made = button(number(target + 1), target, `Page ${target + 1}`);
    if (target === page) made.setAttribute("aria-current", "page");
    return place && target - near[place - 1] > 1 ? [make("span", { className: "gap" }, "…"), made] : [made];
  });
  at("pager").hidden = pages < 2;
  at("pager").replaceChildren(button("← Previous", page - 1, "Previous page"), ...numbers, button("Next →", page + 1, "Next page"));
}

function turnTo(target) {
  page = target;
  paintPage();
  writeAddress();
  at("pictures").focus({ preventScroll: true });
  at("pictures").scrollIntoView();
}

function paintControls() {
  for (const id of ["search", "code", "recipe", "sku", "person_id", "group", "sort"]) if (at(id).value !== wish[id]) at(id).value = wish[id];
  for (const tile of at("tiles").children) tile.setAttribute("aria-pressed", String(tile.dataset.status === wish.status));
  at("clear").hidden = !["status", "code", "recipe", "sku", "person_id", "search"].some((name) => wish[name]);
}

function tick(row, on) {
  if (on) ticked.add(keyOf(row));
  else ticked.delete(keyOf(row));
  paintTicks();
}

function tickMany(many) {
  many.filter(keyOf).forEach((row) => ticked.add(keyOf(row)));
  paintTicks();
}

function paintTicks() {
  at("chosen").hidden = !ticked.size;
  document.body.classList.toggle("choosing", ticked.size > 0);
  at("chosen-count").textContent = `${number(ticked.size)} ticked.`;
  for (const one of at("grid").querySelectorAll(".card")) {
    const on = hooks.isTicked(Number(one.dataset.row));
    one.classList.toggle("ticked", on);
    const box = one.querySelector("input");
    if (box) box.checked = on;
  }
}

function save() {
  const link = make("a", { download: `keys-${DATA.run_id}.txt`, href: URL.createObjectURL(new Blob([[...ticked].join("\n"), "\n"], { type: "text/plain" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function fillTally() {
  const names = [...DATA.statuses, ...(DATA.tally.unfinished ? ["unfinished"] : [])];
  const tiles = [["", DATA.tally.asked, "asked", "everything in the manifest"], ...names.map((name) => [name, DATA.tally[name], ...STATUS_WORDS[name]])];
  for (const [status, count, word, meaning] of tiles) {
    const tile = make("button", { type: "button", className: "tile", data: { status }, disabled: !count }, make("b", {}, number(count)), make("span", { className: "word" }, word), make("small", {}, meaning));
    tile.addEventListener("click", () => change({ status: wish.status === status ? "" : status }));
    at("tiles").append(tile);
  }
  for (const name of names.filter((name) => DATA.tally[name])) {
    const part = make("i", { data: { status: name } });
    part.style.flexGrow = DATA.tally[name];
    at("bar").append(part);
  }
}

function fillNext() {
  for (const [code, count] of Object.entries(DATA.problems)) {
    const facts = DATA.codes[code];
    const show = make("button", { type: "button", className: "quiet", "aria-label": `Show pictures: ${facts.meaning}` }, "Show them");
    show.addEventListener("click", () => {
      change({ ...EVERYTHING, code });
      at("pictures").scrollIntoView();
    });
    const words = make("p", {}, make("b", {}, sentence(facts.meaning) || "No reason given"), facts.what_to_do ? make("span", {}, facts.what_to_do) : "");
    at("next-list").append(make("li", {}, make("strong", {}, number(count)), words, show));
  }
  const folded = [...at("next-list").children].slice(REASONS_SHOWN);
  for (const line of folded) line.hidden = true;
  at("next-more").hidden = !folded.length;
  at("next-more").textContent = `${folded.length} more ${folded.length === 1 ? "reason" : "reasons"}`;
  at("next-more").addEventListener("click", () => {
    for (const line of folded) line.hidden = false;
    at("next-more").hidden = true;
    folded[0].querySelector("button").focus();
  });
  at("next").hidden = !Object.keys(DATA.problems).length;
}

function fillChoices() {
  const option = (value, words) => make("option", { value }, words);
  for (const name of ["code", "recipe"]) {
    const values = tally(name);
    at(name).append(option("", "any"), ...values.map(([value, count]) => option(value, `${name === "code" ? DATA.codes[value].meaning : value} (${number(count)})`)));
    at(name).closest("label").hidden = values.length < (name === "code" ? 1 : 2);
  }
  for (const [name, list] of [["sku", "skus"], ["person_id", "people"]]) {
    const values = tally(name);
    at(list).append(...values.slice(0, LONGEST_LIST).map(([value]) => option(value)));
    at(name).closest("label").hidden = !values.length;
  }
  const groups = Object.keys(groupLabels).filter((name) => tally(name).length);
  at("group").append(option("", "nothing"), ...groups.map((name) => option(name, groupLabels[name])));
  at("sort").append(...Object.entries(sorts).map(([value, words]) => option(value, words)));
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
  if (!Object.hasOwn(sorts, wish.sort)) wish.sort = "";
  page = Math.max((parseInt(parts.get("page"), 10) || 1) - 1, 0);
}

function listen() {
  let pause = 0;
  for (const id of ["search", "sku", "person_id"]) {
    at(id).addEventListener("input", () => {
      clearTimeout(pause);
      pause = setTimeout(() => change({ [id]: at(id).value }), 120);
    });
  }
  for (const id of ["code", "recipe", "group", "sort"]) at(id).addEventListener("change", () => change({ [id]: at(id).value }));
  at("clear").addEventListener("click", () => change({ ...EVERYTHING, group: wish.group, sort: wish.sort }));
  at("tick-page").addEventListener("click", () => tickMany(rows.slice(page * PER_PAGE, (page + 1) * PER_PAGE)));
  at("tick-all").addEventListener("click", () => tickMany(rows));
  at("untick").addEventListener("click", () => (ticked.clear(), paintTicks()));
  at("save").addEventListener("click", save);
  document.querySelector(".skip").addEventListener("click", (event) => (event.preventDefault(), at("pictures").focus()));
  addEventListener("hashchange", () => (readAddress(), refresh()));
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || viewer.open || event.target.matches("input, select")) return;
    event.preventDefault();
    at("search").focus();
  });
}

at("notes").hidden = !at("notes").childElementCount;
fillTally();
fillNext();
fillChoices();
listen();
readAddress();
refresh();
