// The VCS providers: which organizations are linked, and whether all is well with each.

import { all, get, part } from "../api.js";
import { external, fill, h } from "../dom.js";
import { badge } from "../parts/badge.js";
import { redraw } from "../parts/busy.js";
import { expiry } from "../parts/expiry.js";
import { healthOf } from "../parts/hooks.js";
import { poll } from "../parts/poll.js";
import { empty, loading, problem } from "../parts/states.js";
import { table } from "../parts/table.js";
import { when } from "../parts/time.js";
import { sentence } from "../parts/words.js";

export const title = "Integrations";

const AT_ONCE = 4;
const SECONDS = 20;

export function render({ signal }) {
  const place = h("div", { class: "column" }, loading("The integrations are read", 4));
  const hooks = new Map();
  let drawn;
  const look = async () => {
    let found;
    try {
      found = await all("setup/integrations", "integrations", { signal });
    } catch (error) {
      if (error.name !== "AbortError" && drawn === undefined) fill(place, problem(error, { again: () => look().catch(() => {}) }));
      throw error;
    }
    const text = JSON.stringify(found);
    if (text !== drawn) {
      drawn = text;
      redraw(place, found.items.length === 0 ? none() : list(found, hooks));
    }
    await healths(found.items, hooks, signal);
  };
  poll(look, SECONDS, signal);
  return [
    h(
      "div",
      { class: "toolbar" },
      h("div", {}, h("h1", { tabindex: -1 }, "Integrations"), h("p", { class: "quiet" }, "VCS providers: the Azure DevOps organizations that are linked.")),
      h("a", { class: "button", data: { kind: "primary" }, href: "/integrations/-/set-up" }, "Set up"),
    ),
    place,
  ];
}

function none() {
  return empty(
    "No organization is linked yet",
    "The first step: make a personal access token in Azure DevOps with Code (Read & write), and set up an integration with it. Stackhook makes the service hooks, and shows pushes and pull requests as they come.",
    h("a", { class: "button", data: { kind: "primary" }, href: "/integrations/-/set-up" }, "Set up the first integration"),
  );
}

function list({ items, more }, hooks) {
  const rows = items.map((one) => {
    let cell = hooks.get(one.name);
    if (!cell) {
      cell = h("div", { class: "reserve" }, h("span", { class: "quiet small" }, one.status === "active" ? "reading …" : "–"));
      hooks.set(one.name, cell);
    }
    return [
      h("div", { class: "column tight" }, h("a", { href: `/integrations/${part(one.name)}`, data: { key: one.name } }, one.name), one.labels?.length > 0 && h("span", { class: "quiet small" }, one.labels.join(", "))),
      external(one.organizationUrl, one.organization),
      badge("integration", one.status),
      connection(one.connection),
      expiry(one.personalAccessTokenExpiresOn),
      cell,
    ];
  });
  const made = table("Integrations", ["Name", "Organization", "Status", "Connection", "Token", "Service hooks"], rows);
  made.dataset.layout = "fixed";
  for (const narrow of [...made.querySelectorAll("th")].slice(1, 3)) narrow.dataset.narrow = "";
  return h("section", { class: "card" }, made, more && h("p", { class: "quiet small" }, "There are more than a thousand: these are the first."));
}

/** How a connection is, when it was tried, and as whom. */
function connection(tried) {
  if (!tried) return h("span", { class: "quiet" }, "not tried yet");
  const isGood = tried.status === "succeeded";
  return h(
    "div",
    { class: "column tight" },
    h("div", {}, h("span", { class: "badge", data: { tone: isGood ? "good" : "bad" } }, tried.status)),
    h("span", { class: "quiet small" }, when(tried.checkedAt), tried.connectedAs && ` as ${tried.connectedAs}`),
    tried.failure && h("span", { class: "small" }, sentence(tried.failure)),
  );
}

/** Fills in how the hooks of each are, a few at once. */
async function healths(items, hooks, signal) {
  const waiting = items.filter((one) => one.status === "active");
  const one = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const cell = hooks.get(next.name);
      try {
        const { projects, gap } = await get(`setup/integrations/${part(next.name)}/service-hooks`, {}, signal);
        const { tone, words } = healthOf(projects);
        fill(cell, h("span", { class: "badge wraps", data: { tone } }, words), gap && h("div", { class: "small" }, "Events may have been lost."));
      } catch (error) {
        if (error.name === "AbortError") return;
        fill(cell, h("span", { class: "small" }, sentence(error.message)));
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
}
