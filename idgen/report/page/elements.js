// Elements and words. All text enters as text nodes; no markup is ever made from data.

const at = (id) => document.getElementById(id);

/** A new element: properties by name, then children; strings become text. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("aria-") || name === "role") element.setAttribute(name, value);
    else if (name === "data") Object.assign(element.dataset, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}

/** A button that does something. */
function button(words, action, properties = {}) {
  const made = make("button", { type: "button", className: "quiet", ...properties }, words);
  made.addEventListener("click", action);
  return made;
}

function number(value) {
  return value.toLocaleString("en");
}

function counted(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

function sentence(words) {
  return words ? words[0].toUpperCase() + words.slice(1) : "";
}

/** A picture that says so, in its place, when it cannot be loaded. */
function picture(source, alt, className, lazy = true) {
  const image = make("img", { alt, className, decoding: "async" });
  if (lazy) image.loading = "lazy";
  image.addEventListener("error", () => image.replaceWith(blank("Picture not reachable")), { once: true });
  image.src = source;
  return image;
}

function blank(words) {
  return make("span", { className: "blank" }, words);
}

function named(element, words) {
  if (element) element.title = words;
  return element;
}
