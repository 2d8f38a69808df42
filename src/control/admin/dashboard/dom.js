// Elements without a word of HTML: what comes from outside only ever becomes text.

const SVG = "http://www.w3.org/2000/svg";

/** The element of an id. */
export const byId = (id) => document.getElementById(id);

/** An element with its attributes and what is in it. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same of a picture. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

/** Sets a text, touching the page only when it differs. */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute, touching the page only when it differs. */
export function set(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** A button that does something. */
export function button(text, action, attributes = {}) {
  return el("button", { type: "button", onclick: action, ...attributes }, text);
}

/** A labelled choice; `options` are texts or [value, text]. */
export function choice(label, name, options, chosen) {
  const each = options.map((option) => {
    const [value, text] = Array.isArray(option) ? option : [option, option];
    return el("option", { value, selected: value === chosen }, text);
  });
  return el("label", {}, label, el("select", { name }, ...each));
}

/** A labelled line of text. */
export function line(label, name, attributes = {}) {
  return el("label", {}, label, el("input", { name, autocomplete: "off", spellcheck: "false", ...attributes }));
}

/** A bar that shows a share from 0 to 1. */
export function bar() {
  return el("span", { class: "share", "aria-hidden": "true" }, el("i"));
}

/** Sets the share of a bar. */
export function setBar(element, share) {
  const width = `${(100 * Math.min(1, Math.max(0, share || 0))).toFixed(1)}%`;
  if (element.firstChild.style.width !== width) element.firstChild.style.width = width;
}

/** Reads something out to those who listen to the page. */
export function say(text) {
  const place = byId("said");
  place.append(el("p", {}, text));
  while (place.childElementCount > 5) place.firstChild.remove();
}
