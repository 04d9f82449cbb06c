// The stacks, and how the last run of each went.

import { all, get, part } from "../api.js";
import { setQuery } from "../app.js";
import { fill, h } from "../dom.js";
import { badge } from "../parts/badge.js";
import { short } from "../parts/links.js";
import { poll } from "../parts/poll.js";
import { runPath } from "../parts/runs.js";
import { slot } from "../parts/slot.js";
import { withoutIntegration } from "../parts/stacks.js";
import { empty, loaded } from "../parts/states.js";
import { table } from "../parts/table.js";
import { when } from "../parts/time.js";

// As many rows at once; more are shown when asked for, so that no page asks for the runs of a thousand stacks.
const SHOWN = 50;
const AT_ONCE = 4;
const COLUMNS = ["Name", "Follows", "Runs on changes in", "Labels", "Last run"];

export const title = "Stacks";

export function render({ query, signal }) {
  const load = async () => {
    const [stacks, integrations] = await Promise.all([all("stacks/stacks", "stacks", { most: 5000, signal }), all("setup/integrations", "integrations", { signal })]);
    return { stacks: stacks.items, integrations: integrations.items };
  };
  return [
    h("div", { class: "toolbar" }, h("h1", { tabindex: -1 }, "Stacks"), h("a", { class: "button", data: { kind: "primary" }, href: "/stacks/-/new" }, "New stack")),
    h("p", { class: "quiet" }, "A stack follows a branch of a repository: what changes there asks for its runs."),
    loaded(load, (found) => (found.stacks.length === 0 ? none(found.integrations) : list(found, query, signal)), { words: "The stacks are loaded", lines: 6, signal }),
  ];
}

function none(integrations) {
  if (integrations.length === 0) return withoutIntegration();
  return empty(
    "No stacks yet",
    "Choose a repository, a branch and a directory of it: a push or a pull request that changes something there then asks for a run.",
    h("a", { class: "button", data: { kind: "primary" }, href: "/stacks/-/new" }, "New stack"),
  );
}

function list({ stacks, integrations }, query, signal) {
  const names = [...new Set([...integrations.map(({ name }) => name), ...stacks.map(({ integration }) => integration)])].sort();
  const chosen = h("select", { id: "of-integration", value: names.includes(query.integration) ? query.integration : "" }, h("option", { value: "" }, "All integrations"), names.map((name) => h("option", { value: name }, name)));
  const search = h("input", { type: "search", id: "by-name", value: query.name || "", placeholder: "Search by name", autocomplete: "off", spellcheck: "false" });
  const count = h("p", { class: "quiet small", role: "status" });
  const place = h("div", { class: "column" });
  const last = lastRuns(signal);
  let most = SHOWN;
  const draw = () => {
    const words = search.value.trim().toLowerCase();
    const found = stacks.filter(({ name, integration }) => (!chosen.value || integration === chosen.value) && name.includes(words));
    setQuery({ integration: chosen.value, name: search.value.trim() });
    fill(count, found.length === stacks.length ? `${found.length} ${found.length === 1 ? "stack" : "stacks"}` : `${found.length} of ${stacks.length} stacks`);
    if (found.length === 0) {
      const clear = () => {
        chosen.value = "";
        search.value = "";
        draw();
        search.focus();
      };
      return fill(place, empty("No stack fits", "Its name has to have what you search for in it.", h("button", { type: "button", class: "button", on: { click: clear } }, "Show all stacks")));
    }
    const shown = found.slice(0, most);
    const more = () => {
      const from = most;
      most += SHOWN;
      draw();
      place.querySelectorAll("tbody tr")[from]?.querySelector("a")?.focus();
    };
    return fill(
      place,
      h("div", { class: "card" }, table("Stacks", COLUMNS, shown.map((stack) => row(stack, last.cell(stack.name))))),
      found.length > shown.length && h("button", { type: "button", class: "button", on: { click: more } }, `Show more (${found.length - shown.length})`),
    );
  };
  chosen.addEventListener("change", draw);
  search.addEventListener("input", draw);
  draw();
  poll(() => last.look(), 10, signal);
  return [
    h(
      "div",
      { class: "filters", role: "search", aria: { label: "Stacks" } },
      h("div", { class: "field" }, h("label", { for: "of-integration" }, "Integration"), chosen),
      h("div", { class: "field" }, h("label", { for: "by-name" }, "Name"), search),
    ),
    count,
    place,
  ];
}

function row(stack, lastRun) {
  const { name, kind, integration, project, repository, branch, projectRoot, globs, labels, detached } = stack;
  const cell = (...content) => h("div", { class: "cell" }, content);
  return [
    cell(h("a", { href: `/stacks/${part(name)}` }, name), h("div", { class: "row tight" }, badge("kind", kind), detached && h("span", { class: "badge", data: { tone: "warn" } }, "detached"))),
    cell(`${project.name}/${repository.name}`, h("div", { class: "quiet small" }, "branch ", h("code", {}, short(branch)), detached ? ` · was of ${integration}` : ` · ${integration}`)),
    cell(projectRoot ? h("code", {}, `${projectRoot}/`) : "the whole repository", globs.length > 0 && h("div", { class: "quiet small" }, globs.map((glob, at) => [at > 0 && ", ", h("code", {}, glob)]))),
    labels.length > 0 ? h("span", { class: "labels" }, labels.map((label) => h("span", { class: "badge" }, label))) : h("span", { class: "quiet" }, "none"),
    lastRun,
  ];
}

/**
 * The last run of each stack that is shown: most of them are among the newest hundred of all, which is one call again and again; those
 * of the others are asked for once, a few at a time.
 */
function lastRuns(signal) {
  const cells = new Map();
  const known = new Map();
  const waiting = [];
  let asking = 0;
  let hasLooked = false;
  const show = (name, run) => {
    known.set(name, run);
    cells.get(name)?.show(run ? { id: run.id, stack: name, state: run.state, requestedAt: run.requestedAt } : null);
  };
  const ask = async () => {
    if (asking >= AT_ONCE || waiting.length === 0 || signal.aborted) return;
    const name = waiting.shift();
    asking += 1;
    try {
      const { runs } = await get("runs/runs", { stack: name, pageSize: 3 }, signal);
      // A newer one may have been seen meanwhile.
      if (!known.has(name)) show(name, runs.find(counts) || runs[0] || null);
    } catch (error) {
      if (error.name !== "AbortError") cells.get(name)?.show({ trouble: error.message });
    } finally {
      asking -= 1;
      ask();
    }
  };
  const want = (name) => {
    if (known.has(name)) return show(name, known.get(name));
    if (!hasLooked || waiting.includes(name)) return undefined;
    waiting.push(name);
    return ask();
  };
  return {
    cell: (name) => {
      const cell = slot("div", { class: "last-run" }, lastRun);
      cells.set(name, cell);
      cell.show({ isWaiting: true });
      want(name);
      return cell;
    },
    look: async () => {
      try {
        const { runs } = await get("runs/runs", { pageSize: 100 }, signal);
        const seen = new Set();
        for (const run of runs) {
          if (seen.has(run.stack) || !counts(run)) continue;
          seen.add(run.stack);
          show(run.stack, run);
        }
      } finally {
        hasLooked = true;
        for (const name of cells.keys()) if (!known.has(name)) want(name);
      }
    },
  };
}

// What is superseded was never executed: it says nothing of how the stack is.
const counts = ({ state }) => state !== "superseded";

function lastRun(run) {
  if (!run) return h("span", { class: "quiet" }, "none yet");
  if (run.isWaiting) return h("span", { class: "quiet" }, "…");
  if (run.trouble) return h("span", { class: "quiet", title: run.trouble }, "cannot be read");
  return [h("a", { href: runPath(run) }, badge("run", run.state), h("span", { class: "hidden-visually" }, ` run of ${run.stack}`)), h("div", { class: "quiet small" }, when(run.requestedAt))];
}
