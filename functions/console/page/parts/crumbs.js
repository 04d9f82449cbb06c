// The way to a page, above its heading.

import { h } from "../dom.js";

/** Each step is `[words, address]`, or words alone for where one is. What is none is left out. */
export function crumbs(...steps) {
  const there = steps.filter(Boolean);
  const step = (one) => (Array.isArray(one) ? h("a", { href: one[1] }, one[0]) : one);
  return h("nav", { class: "crumbs", aria: { label: "Breadcrumbs" } }, there.map((one, at) => [at > 0 && " / ", step(one)]));
}
