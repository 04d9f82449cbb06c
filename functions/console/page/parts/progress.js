// What is done, and for how long already, where an answer takes longer than a moment.

import { fill, h } from "../dom.js";

/**
 * @param words what is done.
 * @param usual how many seconds it may take; after that it says that it takes longer.
 * @returns an element that is not seen until `begin()` and not after `end()`.
 */
export function progress(words, { usual = 60 } = {}) {
  const said = h("p", { role: "status" });
  const seconds = h("span", { class: "number", role: "timer" }, "0 s");
  const late = h("span");
  const element = h(
    "div",
    { class: "progress", hidden: true, tabindex: -1 },
    said,
    h("progress", { aria: { label: "Under way" } }),
    h("p", { class: "quiet small" }, seconds, late),
  );
  let timer;
  element.begin = () => {
    const began = Date.now();
    element.hidden = false;
    fill(said, words);
    fill(seconds, "0 s");
    fill(late, ` of up to ${usual} s`);
    clearInterval(timer);
    timer = setInterval(() => {
      const passed = Math.floor((Date.now() - began) / 1000);
      fill(seconds, `${passed} s`);
      if (passed > usual) fill(late, ": it takes longer than usual");
      if (!element.isConnected) clearInterval(timer);
    }, 1000);
  };
  element.end = () => {
    clearInterval(timer);
    element.hidden = true;
    fill(said);
  };
  return element;
}
