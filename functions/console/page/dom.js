// Elements, made without HTML: whatever is put into one as a child is text, so nothing that came from Azure DevOps, or through it, can be
// anything else.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. Properties: `class`, `data` (an object for `dataset`), `on` (an object of listeners), `aria` (an object), and attributes; a
 * property that is null, undefined or false is left out, true is an attribute without a value. Children: nodes, texts, arrays of them;
 * what is null, undefined or false is left out.
 */
export function h(tag, properties = {}, ...children) {
  return made(document.createElement(tag), properties, children);
}

/** The same for a picture's elements. */
export function svg(tag, properties = {}, ...children) {
  return made(document.createElementNS(SVG, tag), properties, children);
}

/** Puts children in the place of what an element has. */
export function fill(element, ...children) {
  element.replaceChildren(...nodes(children));
  return element;
}

/** A name that no other element has. */
export function unique(prefix) {
  count += 1;
  return `${prefix}-${count}`;
}
let count = 0;

/**
 * A link to another site, in a tab of its own; or just the words, where the address is not one of the web. Such addresses come from
 * payloads and from executors.
 */
export function external(address, words) {
  const url = web(address);
  if (!url) return h("span", {}, words);
  return h("a", { href: url, target: "_blank", rel: "noopener noreferrer", class: "external" }, words, h("span", { class: "hidden-visually" }, " (opens in a new tab)"));
}

/** An address, if it is one of the web, with nothing of a user in it. */
export function web(address) {
  try {
    const url = new URL(address);
    return ["https:", "http:"].includes(url.protocol) && !url.username && !url.password ? url.href : null;
  } catch {
    return null;
  }
}

function made(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name === "data") {
      for (const [key, datum] of Object.entries(value)) if (datum !== null && datum !== undefined) element.dataset[key] = datum;
    } else if (name === "aria") {
      for (const [key, state] of Object.entries(value)) if (state !== null && state !== undefined) element.setAttribute(`aria-${key}`, state);
    } else if (/^on|^style$|^srcdoc$/i.test(name)) {
      throw new Error(`${name} is not made here`);
    } else if (name !== "value") {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...nodes(children));
  // Behind the children, since a list can only have the value of an option that it has.
  if (properties.value !== null && properties.value !== undefined) element.value = properties.value;
  return element;
}

function nodes(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));
}
