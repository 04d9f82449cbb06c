// A place that is looked at again and again, and touched only where something has changed, so that the focus and what is marked stay.

import { fill, h } from "../dom.js";

const FOCUSABLE = "a[href], button, summary, input";

/**
 * An element, with `show(what)`: `draw(what)` gives its nodes, and is asked only if `what`, which is data, is not what is shown.
 */
export function slot(tag, properties, draw) {
  const element = h(tag, properties);
  let shown;
  element.show = (what) => {
    const next = JSON.stringify(what) ?? "";
    if (next === shown) return;
    shown = next;
    const focused = [...element.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement);
    fill(element, draw(what));
    if (focused >= 0) element.querySelectorAll(FOCUSABLE)[focused]?.focus({ preventScroll: true });
  };
  return element;
}
