// One run: what asked for it, how far it is, and what Azure DevOps shows of it.

import { get, part } from "../api.js";
import { external, fill, h } from "../dom.js";
import { badge } from "../parts/badge.js";
import { crumbs } from "../parts/crumbs.js";
import { reasoned } from "../parts/deliveries.js";
import { branchUrl, commitUrl, organizationUrl, repositoryUrl, short } from "../parts/links.js";
import { poll } from "../parts/poll.js";
import { duration, endedBecause, isOpen, pullRequest, refOf } from "../parts/runs.js";
import { slot } from "../parts/slot.js";
import { orNone } from "../parts/stacks.js";
import { empty, loading, problem } from "../parts/states.js";
import { at, when } from "../parts/time.js";

const EVERY = 4;
// What Azure DevOps shows follows a little later: so long after its end a run is still looked at.
const AFTER = 120_000;
const TRIGGERS = { push: "a push", pullRequest: "a pull request", comment: "a comment with /stackhook run", request: "a person, by hand" };
const KINDS = {
  tracked: "tracked: what the commit says is to be applied",
  proposed: "proposed: what the commit says is to be planned, and not applied",
  test: "test: a commit of a module is to be tested",
};
const SHOWN_BY_STATE = { queued: "pending", running: "pending", finished: "succeeded", failed: "failed", canceled: "error", superseded: "error" };
const FEW = 8;

export const title = ({ id }) => `Run ${id.slice(0, 8)}`;

export function render({ params: { id }, signal }) {
  const trail = h("div", {}, crumbs(["Stacks", "/stacks"]));
  const state = slot("div", { class: "run-state", role: "status" }, (run) => [h("span", { class: "hidden-visually" }, "State: "), badge("run", run.state)]);
  const place = h("div", { class: "column" }, loading("The run is loaded", 8));
  const late = h("div", { class: "maybe" });
  let page;
  const over = new AbortController();
  const until = AbortSignal.any([signal, over.signal]);
  const look = async () => {
    try {
      const run = await get(`runs/runs/${part(id)}`, {}, until).catch(orNone);
      if (!run) {
        fill(place, noRun());
        over.abort();
        return;
      }
      if (!page) {
        page = parts(run, await organizationUrl(run.integration, until));
        fill(place, page.element);
        fill(trail, crumbs(["Stacks", "/stacks"], [run.stack, `/stacks/${part(run.stack)}`]));
      }
      fill(late);
      state.show({ state: run.state });
      page.show(run);
      const isTold = run.state === "superseded" || run.report?.refusal || run.report?.state === run.state;
      if (!isOpen(run) && (isTold || Date.now() - Date.parse(run.endedAt || run.updatedAt) > AFTER)) over.abort();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      if (!page) {
        // An address that is wrong will not be right in a moment.
        const isLasting = [400, 422].includes(error.status);
        fill(place, problem(error, isLasting ? {} : { again: () => look().catch(() => {}) }));
        if (isLasting) over.abort();
      } else {
        fill(late, h("p", { class: "notice", role: "status", data: { tone: "warn" } }, `What is shown may be old: ${error.message}`));
      }
      throw error;
    }
  };
  poll(look, EVERY, until);
  return [trail, h("div", { class: "row run-head" }, h("h1", { tabindex: -1 }, `Run ${id.slice(0, 8)}`), state), late, place];
}

function noRun() {
  return empty("There is no such run", "It may have been kept long enough, or the address has a typo.", h("a", { class: "button", href: "/stacks" }, "Show all stacks"));
}

/** The page of a run: each fact is only touched when it has changed. */
function parts(first, organization) {
  const facts = [
    ["Stack", (run) => [run.stack], ([stack]) => h("a", { href: `/stacks/${part(stack)}` }, stack)],
    ["Kind", (run) => run.kind, (kind) => KINDS[kind] || kind],
    ["Asked for by", (run) => [run.trigger, run.delivery ?? null], ([trigger, delivery]) => [TRIGGERS[trigger] || trigger, delivery && [" · ", h("a", { href: `/deliveries/${part(delivery)}` }, "the delivery that told of it")]]],
    ["Why", (run) => run.reason, (words) => reasoned(words)],
    ["Repository", (run) => [run.project, run.repository], () => external(repositoryUrl(organization, first), `${first.project.name}/${first.repository.name}`)],
    ["Commit", (run) => run.commit, (commit) => h("code", {}, external(commitUrl(organization, first, commit), commit))],
    ["Branch", (run) => run.refName ?? null, (ref) => (ref ? (ref.startsWith("refs/heads/") ? external(branchUrl(organization, first, ref), short(ref)) : refOf({ refName: ref })) : quiet("none: the commit was named"))],
    ["Pull request", (run) => run.pullRequest ?? null, (one, run) => (one ? [pullRequest(run, organization), into(one)] : quiet("none"))],
    ["Project root", (run) => run.projectRoot, (root) => (root ? h("code", {}, `${root}/`) : "the repository's root")],
    ["Changed paths", (run) => [run.changedPaths, run.trigger], ([paths, trigger]) => changed(paths, trigger)],
  ];
  const progress = [
    ["State", (run) => [run.state, run.canceledBecause ?? null, run.supersededBy ?? null], (_what, run) => [badge("run", run.state), endedBecause(run) && h("p", {}, endedBecause(run), run.state === "superseded" && " That one had its run before this one was understood; this is kept for the record, and was never announced.")]],
    ["What its executor says", (run) => [run.description ?? null, !isOpen(run)], ([words, isOver]) => words || quiet(isOver ? "nothing" : "nothing yet")],
    ["The executor's log", (run) => [run.targetUrl ?? null, !isOpen(run)], ([url, isOver]) => (url ? external(url, url) : quiet(isOver ? "no link" : "no link yet"))],
    ["Requested", (run) => run.requestedAt, (moment) => [at(moment), " (", when(moment), ")"]],
    ["Started", (run) => [run.startedAt ?? null, !isOpen(run)], ([moment, isOver]) => (moment ? at(moment) : quiet(isOver ? "not started" : "not yet"))],
    ["Ended", (run) => [run.endedAt ?? null, !isOpen(run)], ([moment, isOver]) => (moment ? at(moment) : quiet(isOver ? "it never began" : "not yet"))],
    ["Duration", duration, (words) => h("span", { class: "number" }, words)],
    ["Azure DevOps shows", (run) => [run.report ?? null, run.state, run.stack], ([report], run) => reported(report, run)],
  ];
  let current = first;
  const made = [...progress, ...facts].map(([label, what, draw]) => [label, what, slot("dd", {}, (value) => draw(value, current))]);
  const rows = (from, to) => h("dl", { class: "facts" }, made.slice(from, to).map(([label, , cell]) => [h("dt", {}, label), cell]));
  return {
    element: [
      h("section", { class: "card", aria: { labelledby: "run-progress" } }, h("h2", { id: "run-progress" }, "How it goes"), rows(0, progress.length)),
      h("section", { class: "card", aria: { labelledby: "run-what" } }, h("h2", { id: "run-what" }, "What it is about"), rows(progress.length)),
    ],
    show: (run) => {
      current = run;
      for (const [, what, cell] of made) cell.show(what(run));
    },
  };
}

const quiet = (words) => h("span", { class: "quiet" }, words);

function into({ sourceRef, targetRef }) {
  return sourceRef && targetRef && h("div", { class: "quiet small" }, `${short(sourceRef)} → ${short(targetRef)}`);
}

function changed({ paths, count }, trigger) {
  const isUnknown = count === undefined || count === null;
  if (isUnknown && trigger === "request") return quiet("Not looked at, since it was asked for by hand.");
  if (isUnknown) return quiet("Not known, and what cannot be known counts as touched.");
  if (count === 0) return quiet("none");
  const items = h("ul", { class: "paths" }, paths.map((path) => h("li", {}, h("code", {}, path))));
  const words = `${count} ${count === 1 ? "path" : "paths"}${paths.length < count ? `, of which the first ${paths.length} are named` : ""}`;
  return paths.length > FEW ? h("details", {}, h("summary", {}, words), items) : [words, items];
}

function reported(report, run) {
  if (run.state === "superseded") return quiet("nothing: a superseded run is never told");
  const status = h("code", {}, `stackhook/${run.stack}`);
  if (!report) return quiet("nothing yet: the status follows in a moment");
  return [
    report.state && h("p", {}, status, `: ${SHOWN_BY_STATE[report.state] || report.state}`, report.state !== run.state && `, of when the run was ${report.state}`, report.iteration && `, on iteration ${report.iteration} of the pull request`, " · ", when(report.reportedAt)),
    report.refusal && h("p", { class: "notice", data: { tone: "bad" } }, "It was refused: ", report.refusal),
  ];
}
