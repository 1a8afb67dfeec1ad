// Groups of pictures, as those of one SKU: what a heading says of the whole set, and the order of groups.

/** Value -> what is said of all rows found that have it. */
function groupsOf(rows, name) {
  const groups = new Map();
  for (const row of rows) {
    const value = cell(name, row);
    const group = groups.get(value) ?? groups.set(value, { value, rows: 0, bad: 0, held: 0, least: null, rank: Infinity }).get(value);
    group.rows += 1;
    group.bad += isProblem(row);
    group.held += isHeld(row);
    const likeness = cell(DATA.ranked, row);
    if (likeness !== null && (group.least === null || likeness < group.least)) group.least = likeness;
  }
  return groups;
}

/** Place of each row's group: by its best rank, then by name, 9 before 10, nameless rows last. */
function groupPlaces(rows, groups, ranks) {
  const own = new Array(DATA.rows);
  for (const row of rows) {
    own[row] = groups.get(cell(groups.by, row));
    own[row].rank = Math.min(own[row].rank, ranks[row]);
  }
  const collator = new Intl.Collator("en", { numeric: true });
  const list = [...groups.values()];
  list.sort((a, b) => a.rank - b.rank || (a.value === "") - (b.value === "") || collator.compare(a.value, b.value));
  list.forEach((group, place) => (group.place = place));
  const places = new Int32Array(DATA.rows);
  for (const row of rows) places[row] = own[row].place;
  return places;
}

/** Heading above the cards of one group. */
function groupHeading(label, value, group, continued) {
  const parts = [
    counted(group.rows, "picture"),
    group.least === null ? "" : `least likeness ${group.least.toFixed(2)}`,
    group.held ? `${number(group.held)} held` : "",
    group.bad ? `${number(group.bad)} without a result` : "",
    continued ? "continued" : "",
  ];
  return make(
    "h2",
    { className: "group" },
    make("span", { className: "group-label" }, label),
    make("bdi", {}, value || "none"),
    make("small", {}, parts.filter(Boolean).join(" · ")),
  );
}
