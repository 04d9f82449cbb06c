// A button whose work takes a while.

import { fill, h } from "../dom.js";

/**
 * A button that does `act` and says `busy` meanwhile. It is never pressed twice, and keeps the focus: a button that is disabled would lose it.
 * What `act` throws is given to `failed`.
 */
export function busyButton(words, { act, busy, failed, kind, key, label, signal }) {
  const button = h("button", { type: "button", class: "button", data: { kind, key }, aria: { label } }, words);
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    button.setAttribute("aria-busy", "true");
    fill(button, busy);
    try {
      await act();
    } catch (error) {
      if (error.name !== "AbortError" && !signal?.aborted) failed(error);
    } finally {
      button.removeAttribute("aria-disabled");
      button.removeAttribute("aria-busy");
      fill(button, words);
    }
  });
  return button;
}

/**
 * Draws a place anew and leaves the focus where it was: on the same element where it is there again, on what has the same `data-key`, else
 * on the place's own heading.
 */
export function redraw(place, ...children) {
  const focused = place.contains(document.activeElement) ? document.activeElement : null;
  fill(place, ...children);
  if (!focused) return;
  if (place.contains(focused)) return focused.focus({ preventScroll: true });
  const key = focused.dataset.key;
  const same = key && [...place.querySelectorAll("[data-key]")].find((it) => it.dataset.key === key);
  const target = same || place.querySelector("[tabindex='-1']");
  target?.focus({ preventScroll: true });
}
