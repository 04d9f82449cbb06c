// What more than one page says of stacks.

import { h } from "../dom.js";
import { empty } from "./states.js";

/** Where a stack is to be made, and there is nothing yet that it could be of. */
export function withoutIntegration() {
  return empty(
    "A stack needs an integration first",
    "It is the link to the Azure DevOps organization whose repositories stacks follow.",
    h("a", { class: "button", data: { kind: "primary" }, href: "/integrations/-/set-up" }, "Set up an integration"),
  );
}

/** Where there is no stack of the name in the address. */
export function noStack(name) {
  return empty(`There is no stack ${name}`, "It may have been deleted, or the address has a typo.", h("a", { class: "button", href: "/stacks" }, "Show all stacks"));
}

/** What a refusal because there is no such thing comes to: null. Others stay what they are. */
export function orNone(error) {
  if (error.status === 404) return null;
  throw error;
}
