// What a picture can be compared with: its photos, what stood here before, other pictures of its row and SKU.

const MOST_OTHERS = 40;
const together = new Map(); // column -> value -> rows

function rowsWith(name, value) {
  if (!together.has(name)) {
    const index = new Map();
    for (let row = 0; row < DATA.rows; row++) {
      const own = cell(name, row);
      if (own !== "" && own !== null) (index.get(own) ?? index.set(own, []).get(own)).push(row);
    }
    together.set(name, index);
  }
  return together.get(name).get(value) ?? [];
}

/** [{id, words, source}]; `id` stays the same for the same kind of thing, so that it can be kept from row to row. */
function comparable(row) {
  return [...photosToCompare(row), ...beforeToCompare(row), ...othersToCompare(row)];
}

function photosToCompare(row) {
  const parts = [...referencesOf(row), ...inputsOf(row).filter((part) => !part.points)];
  return parts.filter((part) => part.source).map((part) => ({ id: part.words, words: sentence(part.words), source: part.source }));
}

function beforeToCompare(row) {
  const [path, key] = [cell("previous_image_path", row), cell("previous_key", row)];
  if (!path && !key) return [];
  return [{ id: "before", words: "What stood here before", source: path && DATA.full_images ? DATA.to_output + path : key ? thumbOfKey(key) : "" }];
}

function othersToCompare(row) {
  const same = rowsWith("row_id", cell("row_id", row));
  const sku = cell("sku", row) ? rowsWith("sku", cell("sku", row)) : [];
  const others = [...new Set([...same, ...sku])].filter((other) => other !== row && thumbOf(other));
  others.sort((a, b) => same.includes(b) - same.includes(a) || (cell("recipe", a) === cell("recipe", row)) - (cell("recipe", b) === cell("recipe", row)));
  return others.slice(0, MOST_OTHERS).map((other) => ({ id: `row ${other}`, words: otherWords(row, other), source: imageOf(other) || thumbOf(other) }));
}

/** What tells the other picture apart. */
function otherWords(row, other) {
  const own = cell("row_id", other) === cell("row_id", row) ? `image ${cell("image_index", other) + 1} of this row` : `row ${cell("row_id", other)}`;
  const differs = ["recipe", ...Object.keys(DATA.labels)].filter((name) => name !== "sku" && cell(name, other) && cell(name, other) !== cell(name, row));
  return [...differs.map((name) => cell(name, other)), own].join(" · ");
}
