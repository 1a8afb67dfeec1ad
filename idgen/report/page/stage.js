// The stage of the big view: one picture or two side by side, fitted or at 100 %, moved together.

const stage = document.getElementById("viewer-stage");
const zoomButton = document.getElementById("viewer-zoom");
let zoomed = false;

/** Show the panes, [{source, alt, words}], or in place of a picture its element. */
function fillStage(panes) {
  stage.replaceChildren(...panes.map(pane));
  stage.classList.toggle("two", panes.length > 1);
  paintZoom();
}

function pane({ source, alt, words, element }) {
  const shown = element ?? (source ? picture(source, alt, "large", false) : blank("No picture"));
  const view = make("div", { className: "pane-view", tabIndex: 0, role: "group", "aria-label": alt }, shown);
  if (shown.tagName === "IMG") shown.addEventListener("load", paintZoom);
  view.addEventListener("scroll", () => follow(view), { passive: true });
  drag(view);
  return make("figure", { className: "pane" }, view, words ? make("figcaption", {}, words) : null);
}

/** Between fitted and one pixel of the picture on one of the screen; `x`, `y`: what to look at, as shares. */
function zoom(on, x = 0.5, y = 0.5) {
  zoomed = on;
  paintZoom();
  const view = stage.querySelector(".pane-view");
  if (view) view.scrollTo((view.scrollWidth - view.clientWidth) * x, (view.scrollHeight - view.clientHeight) * y);
}

function paintZoom() {
  stage.classList.toggle("zoomed", zoomed);
  zoomButton.setAttribute("aria-pressed", String(zoomed));
  const widest = Math.max(...[...stage.querySelectorAll("img.large")].map((image) => image.naturalWidth), 0);
  for (const image of stage.querySelectorAll("img.large")) {
    // two pictures of one thing are shown in one size: a photo's small copy grows to the result's width
    image.style.width = zoomed && widest ? `${widest / devicePixelRatio}px` : "";
  }
}

/** Pan by the arrow keys with Shift. */
function pan(x, y) {
  stage.querySelector(".pane-view")?.scrollBy(80 * x, 80 * y);
}

const share = (now, whole, seen) => (whole > seen ? now / (whole - seen) : 0.5);

const led = new WeakSet(); // panes that were moved by the other: their own event must not move that one back

/** The other pane shows the same part. */
function follow(view) {
  if (led.delete(view)) return;
  const x = share(view.scrollLeft, view.scrollWidth, view.clientWidth);
  const y = share(view.scrollTop, view.scrollHeight, view.clientHeight);
  for (const other of stage.querySelectorAll(".pane-view")) {
    if (other === view) continue;
    const [left, top] = [Math.round(x * (other.scrollWidth - other.clientWidth)), Math.round(y * (other.scrollHeight - other.clientHeight))];
    if (Math.abs(other.scrollLeft - left) <= 1 && Math.abs(other.scrollTop - top) <= 1) continue;
    led.add(other);
    other.scrollTo(left, top);
  }
}

/** A click zooms to where it was; a drag moves the picture. Fingers scroll by themselves. */
function drag(view) {
  let from = null;
  view.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || event.button) return;
    from = { x: event.clientX, y: event.clientY, left: view.scrollLeft, top: view.scrollTop, moved: false };
    view.setPointerCapture(event.pointerId);
  });
  view.addEventListener("pointermove", (event) => {
    if (!from) return;
    const [x, y] = [event.clientX - from.x, event.clientY - from.y];
    from.moved ||= Math.hypot(x, y) > 4;
    if (zoomed && from.moved) view.scrollTo(from.left - x, from.top - y);
  });
  view.addEventListener("pointerup", (event) => {
    const image = view.querySelector("img.large");
    if (from && !from.moved && image) {
      const box = image.getBoundingClientRect();
      zoom(!zoomed, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    }
    from = null;
  });
  view.addEventListener("dragstart", (event) => event.preventDefault());
}

zoomButton.addEventListener("click", () => zoom(!zoomed));
