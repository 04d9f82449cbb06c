// One stack: what it follows, and its runs.

import { call, get, part } from "../api.js";
import { announce, go } from "../app.js";
import { external, fill, h, web } from "../dom.js";
import { badge } from "../parts/badge.js";
import { choice } from "../parts/choice.js";
import { combobox } from "../parts/combobox.js";
import { crumbs } from "../parts/crumbs.js";
import { reasoned } from "../parts/deliveries.js";
import { ask } from "../parts/dialog.js";
import { field, text } from "../parts/fields.js";
import { branchUrl, commitLink, organizationUrl, repositoryUrl, short } from "../parts/links.js";
import { branches } from "../parts/pickers.js";
import { poll } from "../parts/poll.js";
import { duration, endedBecause, isOpen, pullRequest, refOf, runPath } from "../parts/runs.js";
import { slot } from "../parts/slot.js";
import { empty, loaded, loading, problem } from "../parts/states.js";
import { row, table } from "../parts/table.js";
import { noStack, orNone } from "../parts/stacks.js";
import { toast } from "../parts/toast.js";
import { at, when } from "../parts/time.js";

const EVERY = 4;
const SIZE = 25;
// Open runs beyond the newest page are looked at one by one, and not more of them than this each time.
const OLD_ONES = 5;
const COLUMNS = ["State", "Run", "Commit", "Pull request", "Why", "Requested", "Log"];

export const title = ({ name }) => name;

export function render({ params: { name }, signal }) {
  const path = `stacks/stacks/${part(name)}`;
  const head = h("div", { class: "row stack-actions" });
  const load = async () => {
    const stack = await get(path, {}, signal).catch(orNone);
    if (!stack) return {};
    return { stack, organization: await organizationUrl(stack.integration, signal) };
  };
  const draw = ({ stack, organization }) => {
    if (!stack) return noStack(name);
    const list = runs(stack, organization, signal);
    const run = () => runNow(stack, list, signal);
    fill(
      head,
      h("button", { type: "button", class: "button", data: { kind: "primary" }, disabled: stack.detached, on: { click: run } }, "Run now"),
      h("a", { class: "button", href: `/stacks/${part(name)}/edit` }, stack.detached ? "Attach again" : "Edit"),
      h("button", { type: "button", class: "button", data: { kind: "danger" }, on: { click: () => remove(stack, signal) } }, "Delete"),
    );
    return [stack.detached && detached(stack), follows(stack, organization), list.element];
  };
  return [
    crumbs(["Stacks", "/stacks"]),
    h("div", { class: "toolbar" }, h("h1", { tabindex: -1 }, name), head),
    loaded(load, draw, { words: "The stack is loaded", lines: 8, signal }),
  ];
}

function detached({ name, integration, detachedAt }) {
  return h(
    "div",
    { class: "notice", data: { tone: "warn" } },
    h("p", { class: "notice-title" }, "This stack is detached"),
    h("p", {}, "It follows nothing since ", when(detachedAt), `, when the integration ${integration} was unlinked. To attach it again, choose an integration that sees its repository: one under the old name, or another.`),
    h("a", { class: "button", href: `/stacks/${part(name)}/edit` }, "Attach it again"),
  );
}

function follows(stack, organization) {
  const { kind, integration, project, repository, branch, projectRoot, globs, allowForks, runDrafts, labels, createdAt, updatedAt } = stack;
  const fact = (label, ...words) => [h("dt", {}, label), h("dd", {}, words)];
  return h(
    "section",
    { class: "card", aria: { labelledby: "follows" } },
    h("h2", { id: "follows" }, stack.detached ? "What it followed" : "What it follows"),
    h(
      "dl",
      { class: "facts" },
      fact("Kind", badge("kind", kind), kind === "module" ? " every commit is to be tested" : " pushes are to be applied, pull requests planned"),
      fact("Integration", organization || !stack.detached ? h("a", { href: `/integrations/${part(integration)}` }, integration) : `${integration} (unlinked)`),
      fact("Repository", external(repositoryUrl(organization, stack), `${project.name}/${repository.name}`)),
      fact("Branch", external(branchUrl(organization, stack, branch), short(branch))),
      fact("Project root", projectRoot ? h("code", {}, `${projectRoot}/`) : "the repository's root: every change counts"),
      globs.length > 0 && fact("Further paths", globs.map((glob, index) => [index > 0 && ", ", h("code", {}, glob)])),
      fact("Pull requests", `${allowForks ? "also from forks" : "not from forks"}, ${runDrafts ? "drafts too" : "no drafts"}`),
      labels.length > 0 && fact("Labels", h("span", { class: "labels" }, labels.map((label) => h("span", { class: "badge" }, label)))),
      fact("Created", at(createdAt), createdAt === updatedAt ? "" : [", changed ", when(updatedAt)]),
    ),
  );
}

/** Its runs, newest first: looked at again and again, each row touched only where its run has changed. */
function runs(stack, organization, signal) {
  const shown = new Map();
  const body = h("div", { class: "column" }, loading("The runs are loaded", 5));
  const late = h("div", { class: "maybe" });
  const more = h("button", { type: "button", class: "button", hidden: true }, "Show more");
  const list = table(`Runs of ${stack.name}, newest first`, COLUMNS, []);
  const rowsOf = list.querySelector("tbody");
  let nextPageToken;
  let hasBegun = false;

  const put = (run, { announces = false } = {}) => {
    const known = shown.get(run.id);
    // An answer that was overtaken says nothing new.
    if (known && known.run.version > run.version) return;
    const one = known || { cells: cells(organization) };
    if (announces && known && known.run.state !== run.state) announce(`A run is ${run.state}: commit ${run.commit.slice(0, 8)}.`);
    if (announces && !known) announce(`A new run was asked for: commit ${run.commit.slice(0, 8)}.`);
    one.run = run;
    for (const cell of one.cells) cell.show(run);
    if (known) return;
    one.row = row(COLUMNS, one.cells.map((cell) => cell.element));
    const before = [...shown.values()].find((it) => it.run.requestedAt < run.requestedAt);
    shown.set(run.id, one);
    // In the order of time, whatever order they come in.
    const sorted = [...shown.values()].sort((a, b) => (a.run.requestedAt < b.run.requestedAt ? 1 : -1));
    shown.clear();
    for (const it of sorted) shown.set(it.run.id, it);
    rowsOf.insertBefore(one.row, before ? before.row : null);
  };
  const draw = () => {
    if (shown.size > 0 && !list.isConnected) fill(body, list);
    else if (shown.size === 0 && !body.querySelector(".empty")) fill(body, none(stack));
    more.hidden = !nextPageToken;
  };
  const look = async () => {
    try {
      const isFirst = shown.size === 0 && !hasBegun;
      const page = await get("runs/runs", { stack: stack.name, pageSize: SIZE }, signal);
      const wasEmpty = !list.isConnected;
      const newest = new Set(page.runs.map(({ id }) => id));
      // Oldest first, so that each goes above those before it.
      for (const run of page.runs.toReversed()) put(run, { announces: !wasEmpty || body.querySelector(".empty") !== null });
      if (isFirst) {
        nextPageToken = page.nextPageToken;
        hasBegun = true;
      }
      const old = [...shown.values()].filter(({ run }) => isOpen(run) && !newest.has(run.id)).slice(-OLD_ONES);
      for (const { run } of old) put(await get(`runs/runs/${part(run.id)}`, {}, signal), { announces: true });
      fill(late);
      draw();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      if (shown.size === 0) fill(body, problem(error, { again: () => look().catch(() => {}) }));
      else fill(late, h("p", { class: "notice", role: "status", data: { tone: "warn" } }, `What is shown may be old: ${error.message}`));
      throw error;
    }
  };
  let isLoading = false;
  more.addEventListener("click", async () => {
    if (isLoading) return;
    isLoading = true;
    more.setAttribute("aria-disabled", "true");
    fill(more, "Loading …");
    try {
      const page = await get("runs/runs", { stack: stack.name, pageSize: SIZE, pageToken: nextPageToken }, signal);
      for (const run of page.runs) put(run);
      nextPageToken = page.nextPageToken;
      draw();
      announce(page.runs.length === 1 ? "1 more run is shown." : `${page.runs.length} more runs are shown.`);
      shown.get(page.runs[0]?.id)?.row.querySelector("a")?.focus();
    } catch (error) {
      if (error.name !== "AbortError") toast(error.message, { tone: "bad" });
    } finally {
      isLoading = false;
      more.removeAttribute("aria-disabled");
      fill(more, "Show more");
    }
  });
  poll(look, EVERY, signal);
  return {
    element: h("section", { class: "card", aria: { labelledby: "runs" } }, h("h2", { id: "runs" }, "Runs"), late, body, more),
    put: (run) => {
      put(run);
      draw();
    },
  };
}

function none(stack) {
  if (stack.detached) return empty("No runs", "It follows nothing, so nothing asks for a run.");
  return empty("No runs yet", `A push to ${short(stack.branch)} or a pull request into it that changes something in what the stack follows asks for one. To ask for one by hand, take Run now.`);
}

/** The cells of a run's row: what each shows of it, and how. */
function cells(organization) {
  const cell = (what, draw) => {
    let current;
    const element = slot("div", { class: "cell" }, () => draw(current));
    return {
      element,
      show: (run) => {
        current = run;
        element.show(what(run));
      },
    };
  };
  return [
    cell((run) => run.state, (run) => badge("run", run.state)),
    cell((run) => [run.kind, run.id], (run) => h("a", { class: "nowrap", href: runPath(run) }, run.kind, h("span", { class: "hidden-visually" }, ` run ${run.id.slice(0, 8)}`))),
    cell((run) => [run.commit, run.refName ?? null], (run) => [h("code", { class: "nowrap" }, commitLink(organization, run, run.commit)), run.refName && h("div", { class: "quiet small" }, refOf(run))]),
    cell((run) => run.pullRequest ?? null, (run) => pullRequest(run, organization) || h("span", { class: "quiet" }, "none")),
    cell((run) => [run.reason, endedBecause(run)], (run) => [reasoned(run.reason), endedBecause(run) && h("div", { class: "quiet small" }, endedBecause(run))]),
    cell((run) => [run.requestedAt, duration(run)], (run) => [when(run.requestedAt), h("div", { class: "quiet small number" }, run.state === "queued" ? "waits" : duration(run))]),
    cell((run) => [run.targetUrl ?? null, run.description ?? null, isOpen(run)], (run) => [web(run.targetUrl) ? external(run.targetUrl, "Log") : h("span", { class: "quiet" }, isOpen(run) ? "no link yet" : "no link"), run.description && h("div", { class: "quiet small" }, run.description)]),
  ];
}

/** Asks for a run by hand. */
async function runNow(stack, list, signal) {
  const base = `setup/integrations/${part(stack.integration)}/projects/${part(stack.project.id)}/repositories/${part(stack.repository.id)}`;
  const isModule = stack.kind === "module";
  const box = combobox({ what: "branches", search: (words, overtaken) => branches(base, words, overtaken) });
  const branch = field("branch", "Branch", box, { hint: "Type how its name begins." });
  const commit = field("commit", "Commit", text({ maxlength: 40, placeholder: "40 hexadecimal digits", class: "mono" }), { hint: "Its whole id." });
  const kind = choice("kind", "Kind", [
    { value: "tracked", label: "Tracked", hint: "What it says is to be applied." },
    { value: "proposed", label: "Proposed", hint: "It is to be planned, and nothing applied." },
  ]);
  const what = choice(
    "what",
    "What to run on",
    [
      { value: "head", label: `The head of ${short(stack.branch)}`, hint: "The tracked branch, as it is now." },
      { value: "branch", label: "The head of another branch", inside: branch.element },
      { value: "commit", label: "A commit", inside: commit.element },
    ],
    { onchange: (value) => { kind.value = value === "head" ? "tracked" : "proposed"; } },
  );
  const ids = new Map();
  const act = async () => {
    for (const one of [branch, commit, kind]) one.clear();
    await box.settle();
    const body = {};
    if (what.value === "branch") body.branch = box.picked?.value || branch.value.trim();
    if (what.value === "commit") body.commit = commit.value.trim();
    if (!isModule) body.kind = kind.value;
    if (body.branch === "") throw Object.assign(new Error("Choose one."), { field: "branch" });
    if (body.commit === "") throw Object.assign(new Error("Write its id."), { field: "commit" });
    // The same question has the same id however often it is asked, so that an answer that got lost makes no second run.
    const key = JSON.stringify(body);
    if (!ids.has(key)) ids.set(key, crypto.randomUUID());
    return call("POST", `stacks/stacks/${part(stack.name)}/runs`, { body: { ...body, requestId: ids.get(key) }, signal });
  };
  // At its field, where that is shown.
  const refused = (error) => {
    const one = { branch, commit, kind };
    const at = error.field && what.value !== "head" ? one[error.field] : error.field === "kind" ? kind : null;
    if (!at) return problem(error);
    at.refuse(error.message);
    at.focus();
    return null;
  };
  const run = await ask({
    title: `Run ${stack.name} now`,
    content: h("div", { class: "column run-now" }, what.element, isModule ? h("p", { class: "quiet" }, "The commit of a module is tested: it is a test run.") : kind.element),
    confirm: "Run now",
    busy: "Asking …",
    act,
    refused,
  });
  if (!run || signal.aborted) return;
  list.put(run);
  toast(`A ${run.kind} run of commit ${run.commit.slice(0, 8)} was asked for.`);
}

/** Deletes it, once it was said what that does. */
async function remove(stack, signal) {
  const open = loaded(
    async () => {
      const of = (state) => get("runs/runs", { stack: stack.name, state, pageSize: 100 }, signal);
      const pages = await Promise.all([of("queued"), of("running")]);
      return { count: pages.reduce((sum, page) => sum + page.runs.length, 0), isMore: pages.some((page) => page.nextPageToken) };
    },
    ({ count, isMore }) => h("p", {}, count === 0 ? "No run of it is open." : `${isMore ? "At least " : ""}${count} open ${count === 1 ? "run is" : "runs are"} canceled; in Azure DevOps ${count === 1 ? "its status becomes" : "their statuses become"} an error, and an executor that reports is told to stop.`),
    { words: "Its open runs are counted", lines: 1, signal },
  );
  const deleted = await ask({
    title: `Delete ${stack.name}?`,
    content: h(
      "div",
      { class: "column" },
      h("p", {}, `Pushes to ${stack.project.name}/${stack.repository.name} and pull requests into it ask for no more runs of this stack.`),
      open,
      h("p", {}, "Nothing changes in the repository, and nothing that its runs have made is removed. Runs that have ended are kept as long as others. It cannot be undone; a stack that is created again under this name lists the old runs, too."),
    ),
    confirm: "Delete stack",
    danger: true,
    busy: "Deleting …",
    act: () => call("DELETE", `stacks/stacks/${part(stack.name)}`, { signal }),
  });
  if (!deleted || signal.aborted) return;
  toast(`Stack ${deleted.name} was deleted${deleted.runsCanceled ? `, and ${deleted.runsCanceled} open ${deleted.runsCanceled === 1 ? "run" : "runs"} canceled` : ""}.`);
  await go("/stacks");
}
