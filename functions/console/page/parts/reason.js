// Reasons come with backticks around paths, branches and names.

import { h } from "../dom.js";

/** A reason, with what is in backticks as code. A backtick without its other one is shown as it is. */
export function reason(words) {
  const parts = String(words ?? "").split("`");
  if (parts.length % 2 === 0) return h("span", {}, words);
  return h("span", {}, parts.map((part, at) => (at % 2 === 1 ? h("code", {}, part) : part)));
}
