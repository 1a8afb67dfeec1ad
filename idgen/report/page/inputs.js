// What a picture was made of: photos, mask, maps and the five points of the face, each in words that a shop uses.

// of idgen/faces/keypoints.py: eyes, nose, corners of the mouth; the line from each to the nose is darker
const POINT_COLORS = ["#ff0000", "#00ff00", "#0000ff", "#ffff00", "#ff00ff"];
const LIMB_COLORS = ["#990000", "#009900", "", "#999900", "#990099"];
const NOSE = 2;
const DRAWING_PX = 480;
const POINT_PX = 10;

// of columns whose words depend on what else the row says; those of the others are in DATA.images
const INPUT_WORDS = {
  init_image_uri: (given) => (given.control_inpaint_scale === undefined ? "made from" : given.mask_image_uri ? "product photo" : "product cut-out"),
  mask_image_uri: (given) => (given.mask_mode === "keep_white" ? "to be kept (white)" : "to be repainted (white)"),
};
const POINTS_WORDS = "where the face should be";

/** The row's settings as an object. */
function givenOf(row) {
  try {
    return JSON.parse(cell("settings", row) || "{}") ?? {};
  } catch {
    return {};
  }
}

/** Reference photos, as {words, source: thumbnail or "", address: redacted}. */
function referencesOf(row) {
  const addresses = cell("reference_uris", row) || [];
  const many = addresses.length > 1;
  return addresses.map((address, place) => ({
    words: many ? `reference photo ${place + 1} of ${addresses.length}` : "reference photo",
    source: cell("reference_thumbs", row)?.[place] || "",
    address,
  }));
}

/** What else the picture was made of, likewise; the drawing of the face's points has `points`. */
function inputsOf(row) {
  const inputs = cell("inputs", row) || [];
  const given = inputs.length ? givenOf(row) : {};
  const parts = inputs.map(([column, source]) => ({ words: INPUT_WORDS[column]?.(given) ?? DATA.images[column] ?? column, source, address: String(given[column] ?? "") }));
  if (!cell("target_keypoints", row) || !(cell("width", row) > 0) || !(cell("height", row) > 0)) return parts;
  const pose = inputs.findIndex(([column]) => column === "face_pose_uri");
  parts.splice(pose + 1, 0, { words: POINTS_WORDS, source: "", address: "", points: true });
  return parts;
}

/** A part as an element; null when there is nothing to show. `share`: radius of a point in long sides of the picture. */
function partShown(row, part, className, share, lazy) {
  if (part.points) return drawing(row, className, share);
  return part.source ? picture(part.source, partAlt(row, part), className, lazy) : null;
}

function partAlt(row, part) {
  const person = cell("person_id", row);
  return sentence(part.words) + (person && part.words.startsWith("reference") ? ` of ${person}` : "");
}

/** The wanted radius, or less where points would hide each other, but no less than the least one. */
function radiusOf(points, wanted, least) {
  const gaps = points.flatMap(([x, y], at) => points.slice(at + 1).map(([u, v]) => Math.hypot(x - u, y - v)));
  return Math.max(Math.min(wanted, Math.min(...gaps) / 2), least);
}

/** The five points in the picture's frame, to be seen at any size; IdentityNet's own are 10 px large. */
function drawing(row, className, share) {
  const [width, height] = [cell("width", row), cell("height", row)];
  const scale = DRAWING_PX / Math.max(width, height);
  const canvas = make("canvas", { width: Math.ceil(width * scale), height: Math.ceil(height * scale), className, role: "img", "aria-label": sentence(POINTS_WORDS) });
  const numbers = cell("target_keypoints", row).map((pixels) => pixels * scale);
  const points = POINT_COLORS.map((_, at) => [numbers[2 * at], numbers[2 * at + 1]]);
  const radius = radiusOf(points, Math.max(POINT_PX * scale, DRAWING_PX * share), (DRAWING_PX * share) / 2);
  const pen = canvas.getContext("2d");
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.lineWidth = radius * 0.8;
  LIMB_COLORS.forEach((color, at) => {
    if (at === NOSE) return;
    pen.strokeStyle = color;
    pen.beginPath();
    pen.moveTo(...points[at]);
    pen.lineTo(...points[NOSE]);
    pen.stroke();
  });
  points.forEach(([x, y], at) => {
    pen.fillStyle = POINT_COLORS[at];
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.fill();
  });
  return canvas;
}
