// What needs attention.

import { h } from "../dom.js";

export const title = "Home";

export function render() {
  return h("h1", { tabindex: -1 }, "Home");
}
