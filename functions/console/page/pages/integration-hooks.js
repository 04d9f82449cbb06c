// The service hooks of an integration, project by project: how they are, and what is done about them.

import { all, call, get, part } from "../api.js";
import { fill, h, unique } from "../dom.js";
import { badge } from "../parts/badge.js";
import { busyButton, redraw } from "../parts/busy.js";
import { combobox } from "../parts/combobox.js";
import { ask } from "../parts/dialog.js";
import { field } from "../parts/fields.js";
import { healthOf, trigger } from "../parts/hooks.js";
import { manualSteps } from "../parts/manual-steps.js";
import { poll } from "../parts/poll.js";
import { progress } from "../parts/progress.js";
import { placed } from "../parts/refusals.js";
import { empty, loading, problem } from "../parts/states.js";
import { table } from "../parts/table.js";
import { at, when } from "../parts/time.js";
import { toast } from "../parts/toast.js";
import { count, listed, sentence } from "../parts/words.js";

const SECONDS = 15;
/** How many projects that failed are shown whole; more are opened one by one. */
const SHOWN_WHOLE = 3;

/**
 * @param password gives a node that leads to the webhook password.
 * @param ended is told when the password before ends, where making or removing hooks has brought that about.
 */
export function hooksCard(integration, { path, signal, password, ended }) {
  const place = h("div", { class: "column blocks" }, loading("The service hooks are read", 9));
  // What was done here stays to be read while the hooks are looked at again and again.
  const done = new Map();
  const removed = h("div");
  let body = null;
  let drawn = "";
  let makings = 0;

  const draw = ({ isChanged = false } = {}) => {
    const text = JSON.stringify(body);
    // Nothing is drawn from under a button that is at work.
    if (!body || makings > 0 || (text === drawn && !isChanged)) return;
    drawn = text;
    redraw(
      place,
      care(body),
      body.projects.length === 0
        ? empty("No project has service hooks yet", "Without them Azure DevOps tells nothing. Choose a project below: Stackhook makes its five hooks.")
        : body.projects.map((one) => projectBlock(one)),
    );
  };
  const look = async () => {
    // The button that a question came from has to be there when it was answered.
    if (document.querySelector("dialog[open]")) return;
    try {
      body = await get(`${path}/service-hooks`, {}, signal);
      draw();
    } catch (error) {
      if (error.name !== "AbortError" && !body) fill(place, problem(placed(error), { again: () => look().catch(() => {}) }));
      throw error;
    }
  };
  const lookAgain = async () => {
    await look().catch(() => {});
    draw({ isChanged: true });
  };

  /** Makes or mends those of a project; gives what there is to read about it. */
  const make = async (project) => {
    makings += 1;
    try {
      const answer = await call("PUT", `${path}/service-hooks/${part(project)}`);
      if ("previousPasswordValidUntil" in answer) ended(answer.previousPasswordValidUntil);
      toast(`Service hooks of ${answer.project.name}: ${madeWords(answer)}.`);
      return { project: answer.project, node: madeNotice(answer) };
    } catch (error) {
      placed(error);
      return { project: null, node: deniedNotice(error, project, password) };
    } finally {
      makings -= 1;
    }
  };
  const projectBlock = (one) => {
    const { id, name } = one.project;
    const heading = unique("project");
    const going = h("div", {}, done.get(id));
    const health = healthOf([one]);
    const under = progress(`The hooks of ${name} are compared with what they have to be, and mended.`, { usual: 30 });
    const mend = busyButton("Mend", {
      key: `mend ${id}`,
      label: `Mend the service hooks of ${name}`,
      busy: "Mending …",
      signal,
      failed: (error) => fill(going, problem(placed(error))),
      act: async () => {
        done.delete(id);
        fill(going);
        under.begin();
        const made = await make(id).finally(under.end);
        if (signal.aborted) return;
        done.set(id, closable(made.node, () => done.delete(id)));
        await lookAgain();
      },
    });
    const remove = h("button", { type: "button", class: "button", data: { kind: "danger", key: `remove ${id}` }, aria: { label: `Remove the service hooks of ${name}` } }, "Remove hooks");
    remove.addEventListener("click", async () => {
      const answer = await askRemoval(path, one);
      if (!answer) return;
      if ("previousPasswordValidUntil" in answer) ended(answer.previousPasswordValidUntil);
      done.delete(id);
      toast(`${count(answer.serviceHooksRemoved, "service hook")} of ${name} removed.`);
      fill(removed, removedNotice(name, answer, () => fill(removed)));
      await lookAgain();
      removed.firstChild?.focus();
    });
    return h(
      "section",
      { class: "block", aria: { labelledby: heading } },
      h("div", { class: "toolbar" }, h("div", { class: "row" }, h("h3", { id: heading }, name), h("span", { class: "badge wraps", data: { tone: health.tone } }, health.words)), h("div", { class: "row" }, mend, remove)),
      one.missingEvents?.length > 0 && h("p", { class: "notice", data: { tone: "bad" } }, h("span", {}, `No hook for ${listed(one.missingEvents.map(trigger))}: `, h("strong", {}, "Mend"), " makes what is missing.")),
      hooksTable(one),
      under,
      going,
    );
  };

  /** Goes to a project's part. */
  const shown = (id) => [...place.querySelectorAll("[data-key]")].find((it) => it.dataset.key === `mend ${id}`)?.focus();

  const heading = unique("hooks");
  poll(look, SECONDS, signal);
  return h(
    "section",
    { class: "card", aria: { labelledby: heading } },
    h("h2", { id: heading, tabindex: -1 }, "Service hooks"),
    place,
    removed,
    maker({ path, signal, make, lookAgain, shown, done, has: (id) => body?.projects.some((one) => one.project.id === id) }),
  );
}

/** How the care for the hooks went last, and where events may have been lost. */
function care({ lastPass, gap }) {
  return h(
    "div",
    { class: "column" },
    gap &&
      h(
        "div",
        { class: "notice", data: { tone: "warn" } },
        h("p", { class: "notice-title" }, "Events may have been lost"),
        h("p", {}, "From ", at(gap.since), " to ", at(gap.until), ". ", sentence(gap.why)),
        h("p", {}, "Branches and pull requests are compared with what is known, and what is missing is made up for; then this goes away."),
      ),
    lastPass
      ? h(
          "p",
          { class: "quiet small" },
          "Looked after ",
          when(lastPass.at),
          `: ${count(lastPass.hooks, "hook")}, ${count(lastPass.calls, "call")} of Azure DevOps, ${lastPass.mended} mended, ${count(lastPass.found, "lost change")} found`,
          lastPass.notifications > 0 && `, ${count(lastPass.notifications, "failed notification")} made up for`,
          lastPass.dispatched > 0 && `, ${count(lastPass.dispatched, "forgotten delivery", "forgotten deliveries")} dispatched`,
          lastPass.unfinished ? "; the next pass goes on." : ".",
        )
      : h("p", { class: "quiet small" }, "Stackhook looks after them by itself, as a rule every 15 minutes; it has not yet."),
  );
}

function hooksTable({ project, hooks }) {
  const made = table(
    `Service hooks of ${project.name}`,
    ["Event", "Status", "Owner", "Last success", "What differs"],
    hooks.map((hook) => [
      h("span", { title: hook.eventType }, trigger(hook.eventType)),
      h("span", {}, badge("hook", hook.status), " ", h("span", { class: "quiet small" }, "since ", when(hook.since))),
      hook.owner || h("span", { class: "quiet" }, "not known"),
      hook.lastSuccess ? when(hook.lastSuccess) : h("span", { class: "quiet" }, "none in seven days"),
      differences(hook),
    ]),
  );
  made.dataset.layout = "fixed";
  for (const wide of [...made.querySelectorAll("th")].slice(0, 2)) wide.dataset.wide = "";
  return made;
}

/** What of a hook is not as it was made, and what went wrong with it. */
function differences({ differs = [], failedNotifications, trouble }) {
  if (differs.length === 0 && !failedNotifications && !trouble) return h("span", { class: "quiet" }, "nothing");
  return h(
    "div",
    { class: "column tight" },
    differs.length > 0 && h("span", {}, h("span", { class: "badge", data: { tone: "warn" } }, "changed"), " ", differs.map((one, at) => [at > 0 && ", ", h("code", {}, one)])),
    failedNotifications > 0 && h("span", { class: "small" }, `${count(failedNotifications, "notification")} failed in seven days`),
    trouble && h("span", { class: "small" }, sentence(trouble)),
  );
}

/** The row that makes the hooks of one more project. */
function maker({ path, signal, make, lookAgain, shown, done, has }) {
  const result = h("div");
  let projects = null;
  const pick = combobox({
    placeholder: "Type to search",
    what: "projects",
    search: async (text, ended) => {
      // They are read once while somebody is choosing.
      projects ??= await all(`${path}/projects`, "projects", { signal: ended });
      const wanted = text.toLowerCase();
      return projects.items
        .filter((one) => one.name.toLowerCase().includes(wanted))
        .slice(0, 100)
        .map((one) => ({ value: one.id, label: one.name, hint: has(one.id) ? "has hooks" : undefined }));
    },
  });
  pick.input.addEventListener("focus", () => {
    projects = null;
  });
  const choice = field("project", "Make the hooks of a project", Object.assign(h("div", { class: "row beside" }, pick), { input: pick.input }), { hint: "Five hooks, for pushes and pull requests. Those that are there already are mended or taken over." });
  const going = progress("Azure DevOps is asked for the project, and its hooks are made.", { usual: 30 });
  const button = busyButton("Make hooks", {
    kind: "primary",
    busy: "Making …",
    signal,
    failed: (error) => fill(result, problem(placed(error))),
    act: async () => {
      choice.clear();
      fill(result);
      const project = pick.picked?.value || pick.input.value.trim();
      if (!project) {
        choice.refuse("Choose a project first.");
        return choice.focus();
      }
      going.begin();
      const made = await make(project).finally(going.end);
      if (signal.aborted) return;
      if (made.project) {
        done.set(made.project.id, closable(made.node, () => done.delete(made.project.id)));
        pick.reset();
      } else {
        fill(result, made.node);
      }
      await lookAgain();
      // What was made stands above, and pushes this down.
      if (made.project && form.contains(document.activeElement)) shown(made.project.id);
    },
  });
  // Beside it, since the list of projects lies on what is below.
  choice.control.append(button);
  const form = h("form", { class: "block", novalidate: true }, choice.element, going, result);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    button.click();
  });
  return form;
}

/** What making did, in words. */
function madeWords({ created, mended, takenOver, unchanged }) {
  const parts = [created && `${created} created`, mended && `${mended} mended`, takenOver && `${takenOver} taken over`, unchanged && `${unchanged} as they should be`].filter(Boolean);
  return parts.length ? listed(parts) : "nothing to do";
}

function madeNotice(answer) {
  return h(
    "div",
    { class: "notice", role: "status", data: { tone: answer.notes?.length ? "warn" : "good" } },
    h("p", {}, `${answer.project.name}: ${madeWords(answer)}.`),
    answer.notes?.map((note) => h("p", {}, sentence(note))),
  );
}

/** Why hooks could not be made, with the steps by hand where there are some. */
function deniedNotice(error, project, password) {
  const shown = problem(error);
  const steps = error.problem?.manualSteps;
  if (steps) shown.append(manualSteps(steps, { password: password(), project }));
  return shown;
}

/** A notice that can be closed. */
function closable(node, gone) {
  const close = h("button", { type: "button", class: "button", data: { kind: "quiet" } }, "Close");
  close.addEventListener("click", () => {
    node.remove();
    gone();
  });
  node.append(close);
  return node;
}

function askRemoval(path, { project, hooks }) {
  const going = progress("The hooks are deleted in Azure DevOps.", { usual: 60 });
  return ask({
    title: `Remove the service hooks of ${project.name}`,
    danger: true,
    confirm: "Remove hooks",
    busy: "Removing …",
    content: h(
      "div",
      { class: "column" },
      h("p", {}, `${count(hooks.length, "hook")} that Stackhook made or took over ${hooks.length === 1 ? "is" : "are"} deleted in Azure DevOps, and ${hooks.length === 1 ? "is" : "are"} not made again by themselves. Pushes and pull requests of ${project.name} do not reach Stackhook any more; its stacks ask for no runs.`),
      h("ul", { class: "plain-list" }, hooks.map((hook) => h("li", {}, trigger(hook.eventType)))),
      h("p", { class: "quiet small" }, "Hooks that were made by hand stay."),
      going,
    ),
    act: async () => {
      going.begin();
      try {
        return await call("DELETE", `${path}/service-hooks/${part(project.id)}`);
      } finally {
        going.end();
      }
    },
    refused: (error) => problem(placed(error)),
  });
}

function removedNotice(name, { serviceHooksRemoved, serviceHooksLeft, notes = [] }, close) {
  return closable(
    h(
      "div",
      { class: "notice", role: "status", tabindex: -1, data: { tone: serviceHooksLeft.length ? "warn" : "good" } },
      h("p", { class: "notice-title" }, `${name}: ${count(serviceHooksRemoved, "hook")} removed${serviceHooksLeft.length ? `, ${serviceHooksLeft.length} left` : ""}`),
      serviceHooksLeft.length > 0 && h("ul", { class: "plain-list" }, serviceHooksLeft.map((hook) => h("li", {}, h("strong", {}, trigger(hook.eventType)), `: ${sentence(hook.why)}`))),
      notes.map((note) => h("p", {}, sentence(note))),
    ),
    close,
  );
}

/** What became of the hooks that were asked for when the integration was set up. */
export function setUpResult({ made, failed: unsorted }, { password }) {
  const of = (project) => (project === "all" ? "All projects" : project.name || project);
  const failed = unsorted.toSorted((one, other) => of(one.project).localeCompare(of(other.project)));
  const why = (one) => [h("p", {}, sentence(one.why)), one.manualSteps && manualSteps(one.manualSteps, { password: password(), project: of(one.project) })];
  const place = h(
    "section",
    { class: "card", aria: { label: "What became of the service hooks" } },
    h("h2", {}, "Service hooks"),
    made.length > 0 &&
      h(
        "div",
        { class: "notice", data: { tone: "good" } },
        h("p", { class: "notice-title" }, `Made for ${count(made.length, "project")}`),
        h("ul", { class: "plain-list" }, made.map((one) => h("li", {}, h("strong", {}, of(one.project)), `: ${madeWords(one)}. `, one.notes?.map((note) => `${sentence(note)} `)))),
      ),
    failed.length > 0 && failed.length <= SHOWN_WHOLE
      ? failed.map((one) => h("div", { class: "notice", data: { tone: "bad" } }, h("p", { class: "notice-title" }, `${of(one.project)}: not made`), why(one)))
      : failed.length > 0 &&
          h(
            "div",
            { class: "notice", data: { tone: "bad" } },
            h("p", { class: "notice-title" }, `Not made for ${count(failed.length, "project")}; each says why`),
            failed.map((one) => h("details", { class: "details" }, h("summary", {}, of(one.project)), h("div", { class: "column" }, why(one)))),
          ),
    made.length === 0 && failed.length === 0 && h("p", {}, "The token’s user sees no project."),
    h("div", {}, h("button", { type: "button", class: "button", data: { kind: "quiet" }, on: { click: () => place.remove() } }, "Close")),
  );
  return place;
}
