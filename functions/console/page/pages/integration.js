// One integration: its connection, its webhook, its service hooks, and its end.

import { call, get, part } from "../api.js";
import { external, fill, h } from "../dom.js";
import { badge } from "../parts/badge.js";
import { busyButton, redraw } from "../parts/busy.js";
import { crumbs } from "../parts/crumbs.js";
import { expiry } from "../parts/expiry.js";
import { take } from "../parts/handover.js";
import { poll } from "../parts/poll.js";
import { placed } from "../parts/refusals.js";
import { empty, loading, problem } from "../parts/states.js";
import { when } from "../parts/time.js";
import { toast } from "../parts/toast.js";
import { sentence } from "../parts/words.js";
import { editDetails, replaceToken } from "./integration-change.js";
import { hooksCard, setUpResult } from "./integration-hooks.js";
import { unlinkCard } from "./integration-unlink.js";
import { webhookCard } from "./integration-webhook.js";

export const title = ({ name }) => name;

const SECONDS = 10;

export function render({ params, signal }) {
  const { name } = params;
  const path = `setup/integrations/${part(name)}`;
  const root = h("div", { class: "column page" });
  const status = h("span");
  const connection = h("section", { class: "card", aria: { labelledby: "connection" } });
  const rest = h("div", { class: "column page" }, loading("The integration is read", 8));
  fill(
    root,
    crumbs(["Integrations", "/integrations"], name),
    h(
      "div",
      { class: "toolbar" },
      h("div", { class: "row" }, h("h1", { tabindex: -1 }, name), status),
      h(
        "div",
        { class: "row" },
        h("a", { class: "button", href: `/deliveries?${new URLSearchParams({ integration: name })}` }, "Deliveries"),
        h("a", { class: "button", href: `/stacks/-/new?${new URLSearchParams({ integration: name })}` }, "New stack"),
      ),
    ),
    rest,
  );

  let known = null;
  let drawn = "";
  let shownAs;
  let isEnded = false;
  let isVerifying = false;
  const end = (...children) => {
    isEnded = true;
    fill(root, children);
    root.querySelector("h1").focus();
  };
  const draw = (next) => {
    known = next;
    const text = JSON.stringify(next);
    if (text === drawn || isEnded) return;
    drawn = text;
    fill(status, badge("integration", next.status));
    redraw(connection, connected(next));
    // The parts below keep what somebody is doing in them; they are made anew only where the integration becomes another.
    if (shownAs === `${next.status} ${next.createdAt}`) return;
    shownAs = `${next.status} ${next.createdAt}`;
    const unlink = unlinkCard(next, { end });
    if (next.status !== "active") return fill(rest, underWay(next), unlink);
    const webhook = webhookCard(next, { path, signal });
    const results = take(`set-up ${name}`);
    fill(
      rest,
      results && setUpResult(results, { password: toPassword(webhook) }),
      connection,
      webhook,
      hooksCard(next, { path, signal, password: toPassword(webhook), ended: webhook.previous }),
      unlink,
    );
  };
  const look = async () => {
    // The button that a question came from has to be there when it was answered.
    if (isEnded || isVerifying || document.querySelector("dialog[open]")) return;
    try {
      draw(await get(path, {}, signal));
    } catch (error) {
      if (error.name === "AbortError" || isEnded) throw error;
      if (error.kind === "not-found") {
        shownAs = undefined;
        drawn = "";
        fill(status);
        fill(rest, empty(known ? "This integration is not linked any more" : "There is no integration of this name", known ? "Somebody has unlinked it." : "Perhaps it was unlinked, or the address has a typo.", h("a", { class: "button", href: "/integrations" }, "All integrations")));
      } else if (!known) {
        fill(rest, problem(error, { again: () => look().catch(() => {}) }));
      }
      throw error;
    }
  };

  const connected = (one) => {
    const tried = one.connection;
    const isGood = tried?.status === "succeeded";
    return [
      h("div", { class: "toolbar" }, h("h2", { id: "connection", tabindex: -1 }, "Connection"), one.status === "active" && h("div", { class: "row" }, verify(), replace(), edit())),
      h(
        "dl",
        { class: "facts" },
        fact("Organization", external(one.organizationUrl, one.organizationUrl)),
        fact(
          "Connection",
          tried
            ? [h("span", { class: "badge", data: { tone: isGood ? "good" : "bad" } }, tried.status), " ", h("span", { class: "quiet" }, when(tried.checkedAt), tried.connectedAs && ` as ${tried.connectedAs}`), tried.failure && h("p", {}, sentence(tried.failure))]
            : h("span", { class: "quiet" }, "not tried yet"),
        ),
        fact("Personal access token", expiry(one.personalAccessTokenExpiresOn)),
        one.description && fact("Description", one.description),
        one.labels?.length > 0 && fact("Labels", h("span", { class: "row" }, one.labels.map((label) => h("span", { class: "badge wraps" }, label)))),
        fact("Set up", when(one.createdAt)),
      ),
    ];
  };
  const verify = () =>
    busyButton("Verify", {
      key: "verify",
      busy: "Verifying …",
      signal,
      act: async () => {
        isVerifying = true;
        try {
          const { notifications } = await call("POST", `${path}/verification`, { signal });
          for (const words of notifications) toast(words);
        } finally {
          isVerifying = false;
          // How it went is noted, whichever way that was.
          await look().catch(() => {});
        }
      },
      failed: (error) => toast(`Connecting to Azure DevOps failed: ${placed(error).message}`, { tone: "bad" }),
    });
  const changed = (next) => {
    if (!next) return;
    draw(next);
    for (const words of next.notifications || ["The integration was changed"]) toast(words);
  };
  const asked = (words, key, question) =>
    h("button", { type: "button", class: "button", data: { key }, on: { click: async () => changed(await question(path, known)) } }, words);
  const replace = () => asked("Replace the token", "replace", replaceToken);
  const edit = () => asked("Edit details", "edit", editDetails);

  poll(look, SECONDS, signal);
  return root;
}

function toPassword(webhook) {
  return () => h("button", { type: "button", class: "button", data: { kind: "quiet" }, on: { click: () => webhook.focusPassword() } }, "Go to the webhook password");
}

function fact(name, ...value) {
  return [h("dt", {}, name), h("dd", {}, value)];
}

/** What is going on with an integration that is not active. */
function underWay({ status, name, createdAt }) {
  const isPending = status === "pending";
  return h(
    "div",
    { class: "notice", role: "status", data: { tone: isPending ? "info" : "warn" } },
    h("p", { class: "notice-title" }, isPending ? "It is being set up" : "It is being unlinked"),
    isPending
      ? h("p", {}, "The token works, and the secrets are being kept; that began ", when(createdAt), ". This page shows it once it is done. If that takes more than two minutes it was cut off: ", h("a", { href: "/integrations/-/set-up" }, "set it up once more"), ` under the name ${name}, or unlink it.`)
      : h("p", {}, "Its service hooks, secrets and runs are being removed; deliveries are still stored meanwhile. If that takes more than two minutes it was cut off: unlink it once more, which goes on with it."),
  );
}
