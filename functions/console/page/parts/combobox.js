// A field that searches as one types: the combobox with a list of the ARIA patterns (WAI, "Editable Combobox With List Autocomplete").

import { fill, h, unique } from "../dom.js";

const PAUSE = 200;

/**
 * @param search `async (text, signal) => [{value, label, hint?, disabled?}]`; `[]` where nothing fits.
 * @param onpick called with the picked item, or `null` when what is written is none.
 * @returns an element, with `input`, `picked`, `set(item)`, `reset()`, `enable(bool)`, and `settle()`, which picks what was written in full.
 */
export function combobox({ id = unique("pick"), placeholder = "", search, onpick = () => {}, required = false, what = "entries" }) {
  const listId = `${id}-list`;
  const input = h("input", {
    type: "text",
    id,
    role: "combobox",
    autocomplete: "off",
    spellcheck: "false",
    placeholder,
    required,
    aria: { expanded: "false", autocomplete: "list", controls: listId, haspopup: "listbox" },
  });
  const list = h("ul", { role: "listbox", id: listId, aria: { label: what }, hidden: true });
  const status = h("div", { class: "hidden-visually", aria: { live: "polite" } });
  const element = h("div", { class: "combobox" }, input, list, status);
  let items = [];
  let active = -1;
  let timer;
  let ended = new AbortController();

  const close = () => {
    clearTimeout(timer);
    ended.abort();
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const choose = (item, { quietly = false } = {}) => {
    element.picked = item;
    input.value = item ? item.label : "";
    close();
    if (!quietly) onpick(item);
  };
  const move = (to) => {
    const enabled = items.map((item, at) => (item.disabled ? -1 : at)).filter((at) => at >= 0);
    if (enabled.length === 0) return;
    active = to === "first" ? enabled[0] : to === "last" ? enabled.at(-1) : to === "next" ? (enabled.find((at) => at > active) ?? enabled[0]) : (enabled.findLast((at) => at < active) ?? enabled.at(-1));
    [...list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === active)));
    const option = list.children[active];
    input.setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  };
  const note = (words) => {
    items = [];
    active = -1;
    fill(list, h("li", { class: "combobox-note", role: "option", aria: { disabled: "true", selected: "false" } }, words));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    fill(status, words);
  };
  const look = async () => {
    ended.abort();
    ended = new AbortController();
    const { signal } = ended;
    const late = setTimeout(() => note("Searching …"), 150);
    try {
      const found = await search(element.picked ? "" : input.value.trim(), signal);
      clearTimeout(late);
      if (signal.aborted) return;
      if (found.length === 0) return note("Nothing fits.");
      items = found;
      active = -1;
      fill(
        list,
        items.map((item, at) =>
          h(
            "li",
            {
              role: "option",
              id: `${listId}-${at}`,
              aria: { selected: "false", disabled: item.disabled ? "true" : null },
              on: {
                pointerdown: (event) => event.preventDefault(),
                click: () => !item.disabled && choose(item),
              },
            },
            h("span", {}, item.label),
            item.hint && h("span", { class: "quiet small" }, item.hint),
          ),
        ),
      );
      list.hidden = false;
      input.setAttribute("aria-expanded", "true");
      fill(status, `${items.length} ${what}`);
    } catch (error) {
      clearTimeout(late);
      if (error.name !== "AbortError" && !signal.aborted) note(error.message);
    }
  };

  input.addEventListener("input", () => {
    if (element.picked) {
      element.picked = null;
      onpick(null);
    }
    clearTimeout(timer);
    timer = setTimeout(look, PAUSE);
  });
  input.addEventListener("click", () => list.hidden && look());
  input.addEventListener("keydown", async (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) await look();
      move(event.key === "ArrowDown" ? (active < 0 ? "first" : "next") : active < 0 ? "last" : "previous");
    } else if (event.key === "Enter" && !list.hidden) {
      // While the list is open it is the list that is answered, and not the form.
      event.preventDefault();
      const usable = items.filter((item) => !item.disabled);
      const chosen = active >= 0 ? items[active] : usable.length === 1 ? usable[0] : null;
      if (chosen) choose(chosen);
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      event.stopPropagation();
      close();
    }
  });
  // What was written in full counts as picked, also where somebody writes faster than the list comes.
  const settle = async () => {
    const written = input.value.trim();
    close();
    if (element.picked || !written) return;
    const exact = (all) => all.find((item) => !item.disabled && item.label === written) || all.find((item) => !item.disabled && item.label.toLowerCase() === written.toLowerCase());
    ended = new AbortController();
    const { signal } = ended;
    try {
      const found = exact(items) || exact(await search(written, signal));
      if (found && !signal.aborted && !element.picked && input.value.trim() === written) choose(found);
    } catch {
      // Nothing is picked then, and what is written stays.
    }
  };
  input.addEventListener("blur", settle);

  Object.assign(element, {
    input,
    picked: null,
    settle,
    set: (item) => choose(item, { quietly: true }),
    reset: () => {
      items = [];
      choose(null, { quietly: true });
    },
    enable: (may) => {
      input.disabled = !may;
    },
  });
  return element;
}
