// What stands where there is nothing to show: yet, at all, or because it was refused.

import { h } from "../dom.js";

/** While something is on its way. `lines` keep the room that it will need, so that nothing jumps. */
export function loading(words, lines = 3) {
  return h(
    "div",
    { class: "loading", role: "status" },
    h("span", { class: "hidden-visually" }, `${words} …`),
    Array.from({ length: lines }, () => h("div", { class: "skeleton", aria: { hidden: true } })),
  );
}

/** Where there is nothing: what that means, and what to do next. */
export function empty(title, words, ...actions) {
  return h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), h("p", { class: "quiet" }, words), actions.length > 0 && h("div", { class: "row" }, actions));
}

/** A refusal, with what to do. `again` is what another try does. */
export function problem(error, { again } = {}) {
  return h(
    "div",
    { class: "notice", role: "alert", data: { tone: "bad" } },
    h("p", { class: "notice-title" }, error.title || "Something went wrong"),
    h("p", {}, error.message),
    // Of what is the caller's own matter the log says no more than the answer.
    error.requestId && error.status >= 500 && h("p", { class: "quiet small" }, "Request ", h("code", {}, error.requestId), ": the function's log has the cause."),
    again && h("button", { type: "button", class: "button", on: { click: again } }, "Try again"),
  );
}

/**
 * A place that is filled with what `load` brings: `draw(answer)` gives its nodes. Shows that it is on its way, and why it did not come.
 * @returns the element, with `reload()`.
 */
export function loaded(load, draw, { words = "Loading", lines = 3, signal } = {}) {
  const place = h("div", { class: "loaded" });
  place.reload = async ({ quietly = false } = {}) => {
    if (!quietly) place.replaceChildren(loading(words, lines));
    try {
      const answer = await load();
      if (signal?.aborted) return;
      place.replaceChildren(...[draw(answer)].flat(Infinity).filter(Boolean));
    } catch (error) {
      if (error.name === "AbortError" || signal?.aborted) return;
      place.replaceChildren(problem(error, { again: () => place.reload() }));
    }
  };
  place.reload();
  return place;
}
