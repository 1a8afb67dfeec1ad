// What can be chosen: tiles of counts, filters, groups, orders.

const LONGEST_LIST = 2000;
const groupLabels = { sku: DATA.labels.sku, person_id: DATA.labels.person_id, recipe: "Recipe", code: "Reason" };

function fillTally() {
  const names = [...(DATA.tally.held ? ["held"] : []), ...DATA.statuses, ...(DATA.tally.unfinished ? ["unfinished"] : [])];
  const tiles = [["", DATA.tally.asked, "asked", "everything in the manifest"], ...names.map((name) => [name, DATA.tally[name], ...STATUS_WORDS[name]])];
  for (const [status, count, word, meaning] of tiles) {
    const act = () => change({ status: wish.status === status ? "" : status });
    const tile = button("", act, { className: "tile", data: { status }, disabled: !count, title: meaning });
    tile.append(make("b", {}, number(count)), make("span", { className: "word" }, word));
    at("tiles").append(tile);
  }
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
  at("sort").append(...Object.entries(ORDERS).map(([value, { words }]) => option(value, words)));
  at("show").append(option("", "everything"), ...Object.entries(SHOWN).map(([value, [words]]) => option(value, words)));
}

function paintChoices() {
  for (const id of CHOSEN) if (at(id).value !== wish[id]) at(id).value = wish[id];
  for (const tile of at("tiles").children) tile.setAttribute("aria-pressed", String(tile.dataset.status === wish.status));
  at("clear").hidden = !FILTERS.some((name) => wish[name]);
}

const TYPED = ["search", "sku", "person_id"];
const LISTED = ["show", "code", "recipe", "group", "sort"];
const CHOSEN = [...TYPED, ...LISTED];
const FILTERS = ["status", "show", "code", "recipe", "sku", "person_id", "search"];

function listenToChoices() {
  let pause = 0;
  for (const id of TYPED) {
    at(id).addEventListener("input", () => {
      clearTimeout(pause);
      pause = setTimeout(() => change({ [id]: at(id).value }), 120);
    });
  }
  for (const id of LISTED) at(id).addEventListener("change", () => change({ [id]: at(id).value }));
  at("clear").addEventListener("click", () => change({ ...EVERYTHING, group: wish.group, sort: wish.sort }));
  at("more").addEventListener("click", () => at("more").setAttribute("aria-expanded", String(document.querySelector(".tools").classList.toggle("open"))));
}
