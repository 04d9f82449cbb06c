// What needs attention, worst first; or that all is well, and by what that is known. With numbers, and the first steps of who begins.

import { all, get, part } from "../api.js";
import { announce } from "../app.js";
import { fill, h } from "../dom.js";
import { chart } from "../parts/chart.js";
import { read, reasoned, since } from "../parts/deliveries.js";
import { trigger } from "../parts/hooks.js";
import { poll } from "../parts/poll.js";
import { orNone } from "../parts/stacks.js";
import { loading } from "../parts/states.js";
import { at, daysUntil, when } from "../parts/time.js";
import { count, sentence } from "../parts/words.js";

export const title = "Home";

const SECONDS = 30;
const [HOUR, DAY] = [3_600_000, 86_400_000];
// The hooks of so many integrations are looked at, so many at once.
const [MOST_INTEGRATIONS, AT_ONCE] = [40, 4];
// The schedule comes every 15 minutes, and where somebody has set it otherwise at least every 30.
const LATE = 2 * HOUR;
const EXPIRES_SOON = 30;

export function render({ signal }) {
  const steps = h("div", { class: "loaded" });
  const attention = h("section", { class: "column", aria: { labelledby: "attention" } });
  const list = h("div", { class: "column" });
  const looked = h("p", { class: "quiet small home-looked" });
  const tiles = h("div", { class: "tiles" });
  const picture = chart({ link: (word) => `/deliveries?outcome=${word}&time=day` });
  const counted = new Map();
  // All of it comes at once, or the numbers would move down as the rest is found.
  const body = h("div", { class: "loaded" }, loading("It is looked what needs attention", 8));
  const shown = { items: null, steps: null };
  attention.append(h("div", { class: "toolbar" }, h("h2", { id: "attention" }, "What needs attention"), looked), list);

  const look = async () => {
    const found = await readAll(signal, counted);
    if (signal.aborted) return;
    fill(looked, "Looked at ", when(new Date().toISOString()), found.troubles.length > 0 && " · not all of it could be read");
    const items = concerns(found);
    const isFirst = shown.items === null;
    const next = JSON.stringify([items, items.length > 0 ? null : found.facts]);
    if (shown.items !== next) {
      keepingFocus(list, () => fill(list, items.length > 0 ? h("ul", { class: "attention" }, items.map(concern)) : well(found)));
      const keys = items.map((item) => item.key).join();
      if (!isFirst && keys !== shown.keys) announce(items.length > 0 ? `What needs attention has changed: ${count(items.length, "matter")}.` : "Nothing needs attention any more.");
      shown.items = next;
      shown.keys = keys;
    }
    // Who has nothing yet is told how to begin, not that all is well.
    attention.hidden = items.length === 0 && found.isEmpty;
    const done = firstSteps(found);
    if (shown.steps !== JSON.stringify(done)) {
      shown.steps = JSON.stringify(done);
      keepingFocus(steps, () => fill(steps, done && welcome(done)));
    }
    keepingFocus(tiles, () => fill(tiles, TILES.map(([name, one, several, href]) => tile(found.numbers[name], found.numbers[name] === "1" ? one : several, href, name))));
    if (isFirst) fill(body, steps, attention, glance, day);
    if (found.deliveries) picture.draw({ rows: [...counted.values()], more: found.isCut, from: Date.now() - DAY, to: Date.now() });
    else picture.unread();
  };
  const glance = h("section", { class: "column", aria: { labelledby: "glance" } }, h("h2", { id: "glance" }, "At a glance"), tiles);
  const day = h("section", { class: "card", aria: { labelledby: "day" } }, h("h2", { id: "day" }, "Deliveries of the last 24 hours"), picture);
  poll(look, SECONDS, signal);
  return [h("h1", { tabindex: -1 }, "Home"), body];
}

/** Everything that the page tells of. What cannot be read is said, and takes nothing else along. */
async function readAll(signal, counted) {
  const troubles = [];
  const attempt = async (what, work) => {
    try {
      return await work();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      troubles.push({ what, why: error.message });
      return null;
    }
  };
  const week = new Date(Date.now() - 7 * DAY).toISOString();
  const day = new Date(Date.now() - DAY).toISOString();
  const log = (what, query) => attempt(what, () => get("deliveries/deliveries", { pageSize: 100, ...query }, signal));
  const runs = (what, query) => attempt(what, () => get("runs/runs", { pageSize: 100, ...query }, signal));
  const [integrations, stacks, parked, quarantined, oversize, deliveries, queued, running, failed, anyRun] = await Promise.all([
    attempt("the integrations", () => all("setup/integrations", "integrations", { signal })),
    attempt("the stacks", () => all("stacks/stacks", "stacks", { signal })),
    log("what is parked", { outcome: "parked" }),
    log("what was not understood", { outcome: "quarantined", from: week }),
    log("what was too large", { outcome: "oversize", from: week }),
    attempt("the deliveries", () => newest(counted, day, signal)),
    runs("the queued runs", { state: "queued" }),
    runs("the running runs", { state: "running" }),
    runs("the failed runs", { state: "failed" }),
    runs("the runs", { pageSize: 1 }),
  ]);
  const active = (integrations?.items || []).filter((one) => one.status === "active");
  const hooks = await inTurn(active.slice(0, MOST_INTEGRATIONS), (one) => attempt(`the service hooks of ${one.name}`, () => get(`setup/integrations/${part(one.name)}/service-hooks`, {}, signal).catch(orNone)));
  // Who was heard of in the last day needs no question.
  const heard = new Set([...counted.values()].map((row) => row.integration));
  const old = active.filter((one) => one.createdAt < week && !heard.has(one.name)).slice(0, MOST_INTEGRATIONS);
  const last = deliveries && !deliveries.more ? await inTurn(old, (one) => log(`whether ${one.name} is heard of`, { integration: one.name, from: week, pageSize: 1 })) : [];
  const silent = old.filter((one, at) => last[at]?.deliveries.length === 0).map((one) => one.name);
  const failedLately = failed?.runs.filter((run) => Date.parse(run.updatedAt) > Date.now() - DAY);
  const open = queued && running && queued.runs.length + running.runs.length;
  const or = (number, more) => (number === undefined || number === null ? "?" : `${number.toLocaleString("en")}${more ? "+" : ""}`);
  return {
    troubles,
    integrations: integrations?.items || [],
    active,
    stacks: stacks?.items || [],
    hooks: hooks.filter(Boolean),
    parked,
    quarantined,
    oversize,
    deliveries,
    isCut: deliveries?.more,
    queued,
    silent,
    hasRuns: anyRun ? anyRun.runs.length > 0 : null,
    isEmpty: Boolean(integrations && integrations.items.length === 0),
    isKnown: Boolean(integrations && stacks && anyRun),
    facts: facts(active, hooks.filter(Boolean)),
    numbers: {
      deliveries: deliveries ? or(counted.size, deliveries.more) : "?",
      integrations: or(integrations?.items.length, integrations?.more),
      stacks: or(stacks?.items.length, stacks?.more),
      open: or(open, queued?.nextPageToken || running?.nextPageToken),
      failed: or(failedLately?.length, failed?.nextPageToken && failedLately?.length === failed?.runs.length),
    },
  };
}

/** Keeps `counted` to the deliveries of the last day: all of them at first, then what is new or was not decided yet. */
async function newest(counted, day, signal) {
  const from = counted.size > 0 ? since([...counted.values()], day) : day;
  const { rows, more } = await read({ from }, { signal });
  const isCut = more || (counted.isCut && from !== day);
  for (const row of rows) counted.set(row.id, row);
  for (const [id, row] of counted) if (row.receivedAt < day) counted.delete(id);
  counted.isCut = isCut;
  return { more: isCut };
}

async function inTurn(items, work) {
  const answers = [];
  for (let from = 0; from < items.length; from += AT_ONCE) answers.push(...(await Promise.all(items.slice(from, from + AT_ONCE).map(work))));
  return answers;
}

/** By what it is known that all is well. */
function facts(active, hooks) {
  const each = hooks.flatMap((one) => one.projects.flatMap((project) => project.hooks));
  const latest = (moments) => moments.filter(Boolean).sort().at(-1) || null;
  const earliest = (moments) => moments.filter(Boolean).sort()[0] || null;
  return {
    hooks: each.length,
    since: latest(each.map((hook) => hook.since)),
    // The one that was looked at longest ago: of all of them it is true since then.
    passed: hooks.length > 0 && hooks.every((one) => one.lastPass) ? earliest(hooks.map((one) => one.lastPass.at)) : null,
    connected: earliest(active.map((one) => one.connection?.checkedAt)),
    integrations: active.length,
  };
}

const LINK = (name) => `/integrations/${part(name)}`;
const moment = (value) => ({ when: value });
const quoted = (value) => ({ foreign: value });

/**
 * What needs attention, worst first: `{key, rank, tone, title, means, todo, href, label}`. Texts are lists of words, of moments and of words
 * of others; all of it can be compared with what was there before.
 */
function concerns({ troubles, integrations, active, hooks, parked, quarantined, oversize, queued, silent = [] }) {
  const items = [];
  const add = (rank, tone, key, title, means, todo, href, label) => items.push({ rank, tone, key, title, means, todo, href, label });

  // What fails for the same reason is one matter.
  for (const why of new Set(troubles.map((one) => one.why))) {
    const what = troubles.filter((one) => one.why === why).map((one) => one.what);
    const last = what.length > 1 && what.pop();
    add(0, "bad", `trouble-${why}`, [`${capital(what.join(", "))}${last ? ` and ${last}` : ""} could not be read`], [quoted(sentence(why))], ["It is tried again by itself. Until then nothing here tells of that."]);
  }

  for (const one of integrations) {
    const { name } = one;
    if (one.connection?.status === "failed") {
      const { failure, checkedAt } = one.connection;
      add(1, "bad", `connection-${name}`, [`The connection of ${name} does not work`], [quoted(sentence(failureWords(failure))), " Tried ", moment(checkedAt), ". Deliveries are stored, but what needs an answer of Azure DevOps waits, and nothing is watched or found again."], ["Give the integration a token that works; what waits goes on by itself then."], LINK(name), "Mend the connection");
    }
    const days = one.personalAccessTokenExpiresOn ? daysUntil(one.personalAccessTokenExpiresOn) : null;
    if (days !== null && days < 0) add(3, "bad", `token-${name}`, [`The token of ${name} has expired`], [`By the date that was given for it, ${one.personalAccessTokenExpiresOn}.`], ["Make a new one in Azure DevOps, and give it to the integration, with its date."], LINK(name), "Give a new token");
    else if (days !== null && days <= EXPIRES_SOON) add(days <= 7 ? 5 : 7, days <= 7 ? "bad" : "warn", `token-${name}`, [days === 0 ? `The token of ${name} expires today` : `The token of ${name} expires in ${count(days, "day")}`], [`On ${one.personalAccessTokenExpiresOn}. After that deliveries are parked, and hooks are not watched.`], ["Make a new one in Azure DevOps, and give it to the integration, with its date."], LINK(name), "Give a new token");
    if (one.status === "pending") add(10, "info", `pending-${name}`, [`${name} is being set up`], ["Since ", moment(one.createdAt), ". As a rule that takes seconds."], ["If it stays so, setting up was cut off: unlink it, and set it up again."], LINK(name), `See ${name}`);
    if (one.status === "unlinking") add(9, "warn", `unlinking-${name}`, [`${name} is being unlinked`], ["Deliveries are still stored until its service hooks are gone."], ["If it stays so, unlinking was cut off: unlink it once more, which goes on where it stopped."], LINK(name), `See ${name}`);
  }
  if (active.length > MOST_INTEGRATIONS) add(12, "info", "most", [`The service hooks of ${MOST_INTEGRATIONS} integrations are looked at here`], [`There are ${active.length}.`], ["The others show theirs on their own pages."], "/integrations", "See the integrations");

  for (const one of hooks) ofHooks(one, add);
  ofDeliveries({ parked, quarantined, oversize }, add);

  for (const name of silent) add(9, "warn", `silent-${name}`, [`Nothing was received of ${name} for a week`], ["Perhaps nothing happened. Perhaps its events do not arrive."], ["Press Test on one of its service hooks in Azure DevOps (Project settings, Service hooks), and see whether that appears in the log."], LINK(name), `See ${name}`);

  const waiting = (queued?.runs || []).filter((run) => Date.parse(run.requestedAt) < Date.now() - HOUR);
  if (waiting.length > 0) add(8, "warn", "queued", [queued.nextPageToken ? `${waiting.length} or more runs have` : count(waiting.length, "run has", "runs have"), " been queued for more than an hour"], ["Stackhook asks for runs; something of yours has to execute them, and report how they go. One of these was asked for ", moment(waiting.at(-1).requestedAt), "."], ["See that a rule of the event bus takes Run Requested to your executor, and that it may report."], `/runs/${part(waiting.at(-1).id)}`, "See that run");

  return items.sort((one, other) => one.rank - other.rank);
}

const HOOK_STATES = {
  onProbation: "on probation: Azure DevOps met a wrong answer or none, and sends hardly anything meanwhile",
  disabledBySystem: "disabled by Azure DevOps, after answers that it did not like",
  disabledByInactiveIdentity: "disabled, since its owner has left or lost the permission",
  missing: "not there any more: somebody has deleted it",
  unknown: "in a state that is not known",
};

function ofHooks({ integration, projects, gap, lastPass }, add) {
  for (const { project, hooks, missingEvents } of projects) {
    const key = `${integration}-${project.id}`;
    const name = [quoted(project.name), ` (${integration})`];
    const failing = hooks.filter((hook) => HOOK_STATES[hook.status]);
    if (failing.length > 0) {
      const states = [...new Set(failing.map((hook) => hook.status))].map((state) => `${count(failing.filter((hook) => hook.status === state).length, "is", "are")} ${HOOK_STATES[state]}`);
      const trouble = failing.find((hook) => hook.trouble)?.trouble;
      const first = failing.map((hook) => hook.since).sort()[0];
      add(2, "bad", `hooks-${key}`, [`${failing.length} of ${count(hooks.length, "service hook")} of `, ...name, failing.length === 1 ? " does not send" : " do not send"], [`${states.join("; ")}. Seen `, moment(first), ". What happens meanwhile does not arrive, and is looked for afterwards.", ...(trouble ? [" It could not be mended: ", quoted(sentence(trouble))] : [])], [trouble ? "Do what is said, then mend them on the integration's page." : "The schedule mends them as soon as it can; on the integration's page you can do it now."], LINK(integration), "Mend the hooks");
    }
    const changed = hooks.filter((hook) => hook.status === "enabled" && hook.differs?.length > 0);
    if (changed.length > 0) add(5, "warn", `differs-${key}`, [`${count(changed.length, "service hook")} of `, ...name, changed.length === 1 ? " was changed by somebody" : " were changed by somebody"], ["Other than Stackhook made them: ", quoted([...new Set(changed.flatMap((hook) => hook.differs))].join(", ")), ". Some events may not be sent, or not be taken."], ["Mend them on the integration's page, unless the schedule does."], LINK(integration), "Mend the hooks");
    if (missingEvents?.length > 0) add(5, "warn", `events-${key}`, [`No service hook of `, ...name, ` sends ${count(missingEvents.length, "type")} of event`], ["Not sent: ", quoted(missingEvents.map(trigger).join(", ")), ". Runs that these ask for are not made."], ["Mend makes the hooks that are not there."], LINK(integration), "Mend the hooks");
    const stopped = hooks.filter((hook) => hook.status === "disabledByUser");
    if (stopped.length > 0) add(11, "info", `stopped-${key}`, [`${count(stopped.length, "service hook")} of `, ...name, stopped.length === 1 ? " is disabled by a person" : " are disabled by a person"], ["Stackhook leaves it at that, since it may be on purpose."], ["If it is not: enable them in Azure DevOps, or mend them on the integration's page."], LINK(integration), "See the hooks");
  }
  if (projects.length === 0) add(11, "info", `none-${integration}`, [`${integration} has no service hooks of ours`], ["Unless somebody has made some by hand, nothing arrives."], ["Make those of a project on the integration's page."], LINK(integration), "Make service hooks");
  if (gap) {
    add(6, "warn", `gap-${integration}`, [`Events of ${integration} may have been lost`], ["Since ", moment(gap.since), ", seen last ", moment(gap.until), ": ", quoted(gap.why), "."], ["Nothing, as a rule: the schedule compares with Azure DevOps what was seen, and what it finds comes into the log as found again. This goes once that is done."], LINK(integration), `See ${integration}`);
  }
  if (lastPass && Date.parse(lastPass.at) < Date.now() - LATE) add(6, "warn", `pass-${integration}`, [`Nobody has looked after ${integration} for a while`], ["The schedule came last ", moment(lastPass.at), "; as a rule it comes every 15 minutes. Hooks are not watched, and what is lost is not found."], ["Look at the function reconcile: its log, its alarm, and the schedule."], LINK(integration), `See ${integration}`);
}

function ofDeliveries({ parked, quarantined, oversize }, add) {
  const counted = (page) => `${page.deliveries.length}${page.nextPageToken ? " or more" : ""}`;
  const subject = (page, one, several) => `${counted(page)} ${page.deliveries.length === 1 && !page.nextPageToken ? one : several}`;
  if (parked?.deliveries.length > 0) {
    const [newest] = parked.deliveries;
    add(4, "bad", "parked", [subject(parked, "delivery waits", "deliveries wait")], ["Parked, the newest ", moment(newest.receivedAt), ...(newest.reason ? [": ", quoted(newest.reason)] : []), "."], ["What waits for a token goes on by itself once there is one that works. Send the rest again when what is said of them is mended."], "/deliveries?outcome=parked", "See what is parked");
  }
  if (quarantined?.deliveries.length > 0) {
    const [newest] = quarantined.deliveries;
    add(8, "warn", "quarantined", [subject(quarantined, "delivery of the last 7 days was not understood", "deliveries of the last 7 days were not understood")], ["The newest came ", moment(newest.receivedAt), ...(newest.reason ? [": ", quoted(newest.reason)] : []), "."], ["Look what sends them: something that is no service hook and knows the password, or one with another form of body."], "/deliveries?outcome=quarantined&time=week", "See what was not understood");
  }
  if (oversize?.deliveries.length > 0) {
    const [newest] = oversize.deliveries;
    add(8, "warn", "oversize", [subject(oversize, "delivery of the last 7 days was too large", "deliveries of the last 7 days were too large")], ["The newest came ", moment(newest.receivedAt), ". Over 2 MB nothing is made of a delivery."], ["Pushes and pull requests among them are found by the comparison with Azure DevOps, once a day."], "/deliveries?outcome=oversize&time=week", "See what was too large");
  }
}

const capital = (words) => words[0].toUpperCase() + words.slice(1);

function failureWords(failure) {
  if (!failure) return "Azure DevOps refused it";
  return typeof failure === "string" ? failure : failure.detail || failure.message || JSON.stringify(failure);
}

function concern({ key, tone, title, means, todo, href, label }) {
  return h(
    "li",
    { class: "notice concern", data: { tone } },
    h("h3", {}, h("span", { class: "hidden-visually" }, `${{ bad: "Urgent", warn: "Warning", info: "Note" }[tone]}: `), told(title)),
    h("p", {}, told(means)),
    h("p", { class: "quiet" }, told(todo)),
    href && h("a", { class: "button", href, data: { key } }, label),
  );
}

function told(words) {
  return words.map((one) => (typeof one === "string" ? one : one.when ? when(one.when) : reasoned(one.foreign)));
}

function well({ facts: { hooks, since: changed, passed, connected, integrations } }) {
  return h(
    "div",
    { class: "notice", data: { tone: "good" } },
    h("h3", {}, "All is well"),
    h("p", {}, "Nothing needs you."),
    h(
      "ul",
      { class: "well" },
      hooks > 0 && h("li", {}, hooks === 1 ? "The service hook sends" : `All ${hooks} service hooks send`, "; they are as they are now since ", at(changed), "."),
      connected && h("li", {}, integrations === 1 ? "The connection worked" : `All ${integrations} connections worked`, " when last tried, ", when(connected), integrations === 1 ? "." : " or later."),
      passed && h("li", {}, "Nothing is known to be lost: the schedule, which looks for that, came ", when(passed), integrations === 1 ? "." : " or later."),
      h("li", {}, "Nothing is parked, and in the last 7 days all that came was understood."),
    ),
  );
}

// The name of a number, what it counts (one, several), and where that is.
const TILES = [
  ["deliveries", "delivery in 24 hours", "deliveries in 24 hours", "/deliveries?time=day"],
  ["integrations", "integration", "integrations", "/integrations"],
  ["stacks", "stack or module", "stacks and modules", "/stacks"],
  ["open", "open run", "open runs", "/stacks"],
  ["failed", "run failed in 24 hours", "runs failed in 24 hours", "/stacks"],
];

function tile(number, words, href, key) {
  return h("a", { class: "tile", href, data: { key } }, h("span", { class: "tile-number" }, number), h("span", { class: "quiet small" }, words));
}

/** The three steps, with what is done; `null` once all of them are, or while that is not known. */
function firstSteps({ isKnown, active, stacks, hasRuns }) {
  if (!isKnown) return null;
  const done = [active.length > 0, stacks.length > 0, Boolean(hasRuns)];
  return done.every(Boolean) ? null : done;
}

function welcome(done) {
  const next = done.indexOf(false);
  const step = (at, heading, words, ...actions) =>
    h(
      "li",
      { class: "step", data: { done: done[at] ? "" : null }, aria: { current: at === next ? "step" : null } },
      h("span", { class: "step-mark", aria: { hidden: "true" } }, done[at] ? "✓" : at + 1),
      h("div", { class: "column" }, h("h3", {}, heading, done[at] && h("span", { class: "quiet" }, " (done)")), h("p", {}, words), at === next && h("div", { class: "row" }, actions)),
    );
  const link = (href, words) => h("a", { class: "button", href, data: { kind: "primary", key: href } }, words);
  return h(
    "section",
    { class: "card", aria: { labelledby: "welcome" } },
    h("h2", { id: "welcome" }, done[0] ? "The first steps" : "Welcome"),
    !done[0] && h("p", {}, "Stackhook receives the events of your Azure DevOps organization, and turns pushes and pull requests into runs for your stacks. Three steps, and you see the first."),
    h(
      "ol",
      { class: "steps" },
      step(0, "Set up an integration", "Link your organization with a personal access token. Stackhook makes the service hooks.", link("/integrations/-/set-up", "Set up an integration")),
      step(1, "Let a stack follow a repository", "Say which branch and which directory it is about.", link("/stacks/-/new", "Make a stack")),
      step(2, "Push", "A push to that branch arrives here as a delivery, and asks for the first run.", link("/deliveries", "Watch the deliveries")),
    ),
  );
}

/** Draws anew, and gives the focus back to what had it, if that is still there. */
function keepingFocus(element, work) {
  const key = element.contains(document.activeElement) && document.activeElement.dataset.key;
  work();
  if (key) [...element.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key)?.focus({ preventScroll: true });
}
