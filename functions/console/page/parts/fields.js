// Labelled fields, with what is wrong beside them.

import { fill, h, unique } from "../dom.js";

/**
 * A field around a control: label, hint, and a place for a refusal. `name` is the member of the request that it is about.
 * @returns `{element, control, refuse(words), clear(), value}`.
 */
export function field(name, label, control, { hint, optional = false } = {}) {
  const id = control.id || unique(name);
  const [hintId, errorId] = [`${id}-hint`, `${id}-error`];
  control.id = id;
  if (!control.name && control.tagName !== "DIV") control.name = name;
  const error = h("p", { class: "field-error", id: errorId });
  const described = [hint && hintId, errorId].filter(Boolean).join(" ");
  const target = control.input || control;
  target.setAttribute("aria-describedby", described);
  const element = h(
    "div",
    { class: "field", data: { field: name } },
    h("label", { for: target.id || id }, label, optional && h("span", { class: "quiet" }, " (optional)")),
    hint && h("div", { class: "field-hint", id: hintId }, hint),
    control,
    error,
  );
  const clear = () => {
    target.removeAttribute("aria-invalid");
    fill(error);
  };
  // What was refused is not what is there any more.
  target.addEventListener("input", clear);
  return {
    name,
    element,
    control,
    get value() {
      return target.value;
    },
    refuse(words) {
      target.setAttribute("aria-invalid", "true");
      fill(error, words);
    },
    clear,
    focus() {
      target.focus();
    },
  };
}

/** A line of text. */
export function text(properties = {}) {
  return h("input", { type: "text", autocomplete: "off", spellcheck: "false", ...properties });
}

/** A box to tick, with its label. */
export function tick(name, label, { checked = false, hint } = {}) {
  const id = unique(name);
  const box = h("input", { type: "checkbox", id, name, checked, aria: { describedby: hint ? `${id}-hint` : null } });
  return { box, element: h("div", { class: "tick" }, box, h("div", {}, h("label", { for: id }, label), hint && h("p", { class: "field-hint", id: `${id}-hint` }, hint))) };
}

/**
 * Shows a refusal where it belongs: at its field, which gets the focus, or above the form.
 * @param place the element above the form.
 */
export function refuse(error, fields, place, problem) {
  for (const one of fields) one.clear();
  fill(place);
  const one = fields.find((it) => it.name === error.field);
  if (one) {
    one.refuse(error.message);
    one.focus();
  } else {
    fill(place, problem(error));
    place.scrollIntoView({ block: "nearest" });
  }
}
