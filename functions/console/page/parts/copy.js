// A value that is there to be copied.

import { h } from "../dom.js";
import { toast } from "./toast.js";

/** A button that copies what `value()` gives, at the moment of the click. */
export function copyButton(what, value) {
  return h("button", {
    type: "button",
    class: "button",
    data: { kind: "quiet" },
    aria: { label: `Copy ${what}` },
    on: {
      click: async () => {
        try {
          await navigator.clipboard.writeText(value());
          toast(`Copied ${what}.`);
        } catch {
          toast(`The browser does not let ${what} be copied: mark it, and copy it by hand.`, { tone: "bad" });
        }
      },
    },
  }, "Copy");
}

/** A value with its copy button. */
export function copyable(what, value) {
  return h("div", { class: "copyable" }, h("code", {}, value), copyButton(what, () => value));
}
