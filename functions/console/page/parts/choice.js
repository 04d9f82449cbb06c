// One of a few, each with what it means.

import { fill, h, unique } from "../dom.js";

/**
 * Radio buttons under a legend. Options: `{value, label, hint?, inside?}`; what is `inside` one is shown while it is chosen.
 * @returns what `field` returns, so that a refusal finds its place here, too; `value` can be set.
 */
export function choice(name, legend, options, { value = options[0].value, hint, onchange = () => {} } = {}) {
  const group = unique(name);
  const error = h("p", { class: "field-error", id: `${group}-error` });
  const made = options.map((option) => {
    const id = `${group}-${option.value}`;
    const box = h("input", { type: "radio", id, name: group, checked: option.value === value, aria: { describedby: option.hint ? `${id}-hint` : null } });
    box.value = option.value;
    const inside = option.inside && h("div", { class: "choice-inside" }, option.inside);
    const words = h("div", {}, h("label", { for: id }, option.label), option.hint && h("p", { class: "field-hint", id: `${id}-hint` }, option.hint), inside);
    return { box, inside, element: h("div", { class: "tick" }, box, words) };
  });
  const update = () => {
    for (const { box, inside } of made) if (inside) inside.hidden = !box.checked;
  };
  const element = h(
    "fieldset",
    { class: "column", data: { field: name }, aria: { describedby: error.id } },
    h("legend", {}, legend),
    hint && h("p", { class: "field-hint" }, hint),
    made.map((one) => one.element),
    error,
  );
  element.addEventListener("change", (event) => {
    if (event.target.name !== group) return;
    update();
    onchange(event.target.value);
  });
  update();
  return {
    name,
    element,
    get value() {
      return made.find(({ box }) => box.checked)?.box.value;
    },
    set value(next) {
      for (const { box } of made) box.checked = box.value === next;
      update();
    },
    refuse: (words) => fill(error, words),
    clear: () => fill(error),
    focus: () => (made.find(({ box }) => box.checked) || made[0]).box.focus(),
  };
}
