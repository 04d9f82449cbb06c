// A table whose rows become cards where it is narrow. Its roles are said, since CSS that turns rows into blocks takes them away.

import { h } from "../dom.js";

/**
 * @param caption what the rows are, for those who hear the page.
 * @param columns the titles.
 * @param rows arrays of cells (nodes or words); a row may be `{cells, id, data}`.
 */
export function table(caption, columns, rows) {
  const body = h("tbody", { role: "rowgroup" });
  body.append(...rows.map((one) => row(columns, one)));
  return h(
    "table",
    { class: "table", role: "table" },
    h("caption", { class: "hidden-visually" }, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, columns.map((column) => h("th", { role: "columnheader", scope: "col" }, column)))),
    body,
  );
}

/** One row, for those who add to a table. */
export function row(columns, one) {
  const { cells, id, data } = Array.isArray(one) ? { cells: one } : one;
  return h("tr", { role: "row", id, data }, cells.map((cell, at) => h("td", { role: "cell", data: { label: columns[at] } }, cell)));
}
