// The end of an integration: what unlinking would do, the question, and what it did.

import { call, get, part } from "../api.js";
import { h, unique } from "../dom.js";
import { badge } from "../parts/badge.js";
import { crumbs } from "../parts/crumbs.js";
import { ask } from "../parts/dialog.js";
import { field, text } from "../parts/fields.js";
import { trigger } from "../parts/hooks.js";
import { progress } from "../parts/progress.js";
import { placed } from "../parts/refusals.js";
import { loaded, problem } from "../parts/states.js";
import { toast } from "../parts/toast.js";
import { count, listed, sentence } from "../parts/words.js";

/** @param end shows what is there after it, in the place of the page. */
export function unlinkCard({ name, status }, { end }) {
  const heading = unique("unlink");
  const button = h("button", { type: "button", class: "button", data: { kind: "danger" } }, status === "unlinking" ? "Go on unlinking" : "Unlink");
  button.addEventListener("click", async () => {
    const answer = await askUnlink(name);
    if (!answer) return;
    toast(`${name} is unlinked.`);
    end(unlinked(answer));
  });
  return h(
    "section",
    { class: "card", aria: { labelledby: heading } },
    h("h2", { id: heading }, "Unlink"),
    h("p", {}, "Removes the integration with its secrets and service hooks, detaches its stacks and cancels their open runs. What was delivered stays in the log."),
    h("div", {}, button),
  );
}

function askUnlink(name) {
  const typed = field("name", `Type ${name} to confirm`, text({ autocapitalize: "none" }));
  const going = progress("The service hooks are deleted in Azure DevOps; then the secrets are removed, the stacks detached and the runs canceled.");
  return ask({
    title: `Unlink ${name}`,
    danger: true,
    confirm: "Unlink",
    busy: "Unlinking …",
    content: ({ ready }) => {
      let isRead = false;
      const update = () => ready(isRead && typed.value.trim() === name);
      typed.control.addEventListener("input", update);
      update();
      const preview = loaded(
        async () => {
          isRead = false;
          update();
          return get(`unlink/integrations/${part(name)}`);
        },
        (answer) => {
          isRead = true;
          update();
          return wouldDo(answer);
        },
        { words: "What it would do is read", lines: 5 },
      );
      return h("div", { class: "column" }, h("div", { class: "column preview" }, preview), typed.element, going);
    },
    act: async () => {
      going.begin();
      try {
        return await call("DELETE", `unlink/integrations/${part(name)}`);
      } finally {
        going.end();
      }
    },
    refused: (error) => {
      const shown = problem(placed(error));
      if (error.kind === "not-found") shown.append(h("p", {}, "Somebody else has unlinked it."));
      else shown.append(h("p", {}, "Unlinking can be repeated: it goes on where it was cut off."));
      return shown;
    },
  });
}

/** What it would do, from the preview. */
function wouldDo({ wouldRemove, serviceHooks, stacks, runs, runsCount, reminder }) {
  const projects = [...Map.groupBy(serviceHooks, (hook) => hook.project.name)];
  return [
    h(
      "dl",
      { class: "facts" },
      h("dt", {}, "Removes"),
      h("dd", {}, wouldRemove.length ? listed(wouldRemove) : "nothing more"),
      h("dt", {}, "Deletes"),
      h("dd", {}, serviceHooks.length ? [count(serviceHooks.length, "service hook"), h("ul", { class: "plain-list" }, projects.map(([project, hooks]) => h("li", {}, `${project}: ${hooks.length}`)))] : "no service hooks"),
      h("dt", {}, "Detaches"),
      h("dd", {}, stacks.length ? `${count(stacks.length, "stack")}: ${listed(stacks)}` : "no stacks"),
      h("dt", {}, "Cancels"),
      h(
        "dd",
        {},
        runsCount ? [count(runsCount, "run"), h("ul", { class: "plain-list" }, runs.map((run) => h("li", {}, `${run.stack} `, badge("run", run.state))), runsCount > runs.length && h("li", {}, `and ${runsCount - runs.length} more`))] : "no runs",
      ),
    ),
    h("p", { class: "quiet small" }, sentence(reminder)),
  ];
}

/** What it did, and what it left, in the place of the page. */
function unlinked({ name, organization, serviceHooksRemoved, serviceHooksLeft, secretsRemoved, stacksDetached, runsCanceled, reminder }) {
  const back = h("a", { class: "button", data: { kind: "primary" }, href: "/integrations" }, "Back to the integrations");
  return [
    crumbs(["Integrations", "/integrations"], name),
    h("h1", { tabindex: -1 }, `${name} is unlinked`),
    h(
      "section",
      { class: "card" },
      h("h2", {}, "What was done"),
      h(
        "dl",
        { class: "facts" },
        h("dt", {}, "Organization"),
        h("dd", {}, organization),
        h("dt", {}, "Service hooks deleted"),
        h("dd", { class: "number" }, serviceHooksRemoved),
        h("dt", {}, "Secrets removed"),
        h("dd", { class: "number" }, secretsRemoved),
        h("dt", {}, "Stacks detached"),
        h("dd", { class: "number" }, stacksDetached),
        h("dt", {}, "Runs canceled"),
        h("dd", { class: "number" }, runsCanceled),
      ),
    ),
    serviceHooksLeft.length > 0 &&
      h(
        "div",
        { class: "notice", data: { tone: "warn" } },
        h("p", { class: "notice-title" }, `${count(serviceHooksLeft.length, "service hook")} could not be deleted`),
        h("ul", { class: "plain-list" }, leftByWhy(serviceHooksLeft).map(([project, why, events]) => h("li", {}, h("strong", {}, project), `, ${listed(events)}: ${sentence(why)}`))),
      ),
    h("p", { class: "notice", data: { tone: "info" } }, sentence(reminder)),
    h("div", {}, back),
  ];
}

/** The hooks that are left, those of a project that are for the same reason together. */
function leftByWhy(hooks) {
  const groups = Map.groupBy(hooks, (hook) => JSON.stringify([hook.project.name, hook.why]));
  return [...groups].sort(([one], [other]) => one.localeCompare(other)).map(([key, all]) => [...JSON.parse(key), all.map((hook) => trigger(hook.eventType)).sort()]);
}
