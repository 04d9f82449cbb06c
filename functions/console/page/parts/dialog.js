// A question that has to be answered before anything happens.

import { fill, h, unique } from "../dom.js";
import { problem } from "./states.js";

/**
 * Asks. `content` is a node, or a function that is given `{ready(bool)}` to say whether it may be confirmed, and gives a node.
 * `act` is done on confirming; while it is under way the dialog stays, and a refusal is shown in it: by `refused(error)` where that gives
 * nothing, which is for refusals of a field, or as what it gives. It is dismissed when its page is left, or the session is lost: what it
 * asks about is not there any more, and what was written into it is not kept.
 * @returns a promise of what `act` gave, or of `null` if it was dismissed.
 */
export function ask({ title, content, confirm, danger = false, busy = "Working …", act, refused = problem }) {
  return new Promise((resolve) => {
    const heading = unique("dialog");
    const trouble = h("div");
    const yes = h("button", { type: "submit", class: "button", data: { kind: danger ? "danger" : "primary" } }, confirm);
    const no = h("button", { type: "button", class: "button" }, "Cancel");
    let isReady = true;
    let isBusy = false;
    const update = () => {
      yes.disabled = !isReady || isBusy;
      no.disabled = isBusy;
    };
    const ready = (may) => {
      isReady = may;
      update();
    };
    const inside = typeof content === "function" ? content({ ready }) : content;
    const form = h(
      "form",
      { method: "dialog" },
      h("h2", { id: heading }, title),
      h("div", { class: "dialog-content" }, inside, trouble),
      h("div", { class: "row dialog-actions" }, no, yes),
    );
    const dialog = h("dialog", { class: "dialog", aria: { labelledby: heading } }, form);
    const over = new AbortController();
    const end = (result) => {
      over.abort();
      dialog.close();
      dialog.remove();
      resolve(result);
    };
    // What was begun is done, and told, whether somebody looks or not.
    const dismiss = () => !isBusy && end(null);
    no.addEventListener("click", dismiss);
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      dismiss();
    });
    for (const event of ["page-left", "pagehide"]) addEventListener(event, dismiss, { signal: over.signal });
    addEventListener("session-lost", () => end(null), { signal: over.signal });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (!isReady || isBusy) return;
      isBusy = true;
      update();
      fill(yes, busy);
      fill(trouble);
      try {
        end(await act());
      } catch (error) {
        fill(yes, confirm);
        isBusy = false;
        update();
        fill(trouble, refused(error));
      }
    });
    document.body.append(dialog);
    update();
    dialog.showModal();
  });
}
