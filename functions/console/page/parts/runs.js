// What is said of a run, wherever one is shown.

import { part } from "../api.js";
import { external, h } from "../dom.js";
import { pullRequestUrl, short } from "./links.js";
import { ago, lasted } from "./time.js";

const CANCELED = {
  pullRequestClosed: "the pull request was closed",
  pullRequestRetargeted: "the pull request goes into another branch now",
  unlinked: "the integration was unlinked",
  stackDeleted: "its stack was deleted",
  stackMoved: "its stack follows something else now",
  executor: "the executor canceled it",
};

/** Whether something may still come of it. */
export const isOpen = ({ state }) => state === "queued" || state === "running";

/** A run's page. */
export const runPath = ({ id }) => `/runs/${part(id)}`;

/** Why a run ended without having been executed to its end; null where it was, or may be yet. */
export function endedBecause({ state, canceledBecause, supersededBy }) {
  if (state === "canceled") return `Canceled: ${CANCELED[canceledBecause] || canceledBecause || "somebody canceled it"}.`;
  if (state === "superseded") return supersededBy ? `Superseded by push ${supersededBy}, which is newer.` : "Superseded by a newer push.";
  return null;
}

/** How long it took, has taken so far, or waits; in words. */
export function duration({ state, requestedAt, startedAt, endedAt }) {
  if (endedAt) return startedAt ? lasted(startedAt, endedAt) : "not started";
  if (state === "running") return `${lasted(startedAt, new Date())} so far`;
  if (state === "queued") return `waits for its executor, asked for ${ago(requestedAt)}`;
  return "not started";
}

/** Its pull request: number and title, with a link to it. Null where it has none. */
export function pullRequest(run, organizationUrl) {
  const { pullRequest: one } = run;
  if (!one) return null;
  const title = one.title ? ` ${one.title}` : "";
  return h("span", {}, external(pullRequestUrl(organizationUrl, run, one.number), `${one.number}${title}`), one.isFork && h("span", { class: "quiet" }, " (from a fork)"));
}

/** The name of its branch, or of whatever else its ref is. */
export const refOf = ({ refName }) => (refName ? short(refName) : null);
