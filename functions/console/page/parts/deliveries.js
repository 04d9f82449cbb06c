// What the pages about deliveries share: types in words, what a filter means, reading the log, and outcomes.

import { get } from "../api.js";
import { h } from "../dom.js";
import { badge } from "./badge.js";

// The types that Stackhook asks for, as the log's filter has them. Without what every object has: a type comes from a payload.
const TYPES = {
  __proto__: null,
  "git.push": "push",
  "git.pullrequest.created": "pull request opened",
  "git.pullrequest.updated": "pull request changed",
  "git.pullrequest.merged": "merge attempted",
  "ms.vss-code.git-pullrequest-comment-event": "comment",
};

/** What the log can be narrowed to by time: the word in the address, in words, seconds. */
export const TIMES = [
  ["hour", "The last hour", 3_600],
  ["day", "The last 24 hours", 86_400],
  ["week", "The last 7 days", 604_800],
];

/** The names of the filters, as they stand in the page's address. */
export const FILTERS = ["integration", "eventType", "repository", "outcome", "time", "from", "to"];

/** `[type, words]` of each type. */
export const types = () => Object.entries(TYPES);

/** A type in words; what is not known is shown as it is. */
export function typeWords(type) {
  return TYPES[type] || type || "unknown";
}

/** The filters as the interface has them: "the last hour" is one from a moment on. */
export function meant(filters, now = Date.now()) {
  const { integration, eventType, repository, outcome, time } = filters;
  const known = TIMES.find(([word]) => word === time);
  const from = known ? new Date(now - known[2] * 1000).toISOString() : filters.from;
  return { integration, eventType, repository, outcome, from, to: known ? undefined : filters.to };
}

/**
 * The newest deliveries that `query` means, up to `pages` pages of 100: `{rows, more}`. A page may be empty and still not be the last, since
 * each looks at a bounded number.
 */
export async function read(query, { pages = 10, signal } = {}) {
  const rows = [];
  let pageToken;
  let count = 0;
  do {
    const page = await get("deliveries/deliveries", { pageSize: 100, ...query, pageToken }, signal);
    rows.push(...page.deliveries);
    pageToken = page.nextPageToken;
    count += 1;
  } while (pageToken && count < pages);
  return { rows, more: Boolean(pageToken) };
}

// How far behind the newest a look begins, since what was received before another may be seen after it; and for how long one without an
// outcome is looked at again: what is put off is decided within a quarter of an hour.
const OVERLAP = 60_000;
const FOLLOWED = 16 * 60_000;

/** From when on the next look has to read, to see what is new and what has become of those that are known; `begin` if none is. */
export function since(rows, begin, now = Date.now()) {
  let newest = 0;
  let oldest = Infinity;
  for (const row of rows) {
    const received = Date.parse(row.receivedAt);
    newest = Math.max(newest, received);
    if (row.outcome === "stored" && received > now - FOLLOWED) oldest = Math.min(oldest, received);
  }
  if (!newest) return begin;
  const from = Math.min(newest - OVERLAP, oldest);
  return new Date(Math.max(from, begin ? Date.parse(begin) : 0)).toISOString();
}

/** Behind what comes first in the log: newest first, as the interface has it. */
export function inOrder(one, other) {
  return one.receivedAt === other.receivedAt ? (one.id < other.id ? 1 : -1) : one.receivedAt < other.receivedAt ? 1 : -1;
}

/** What became of a delivery, as badges. */
export function outcome(row) {
  return [badge("outcome", row.outcome), row.recovered && [" ", h("span", { class: "badge", data: { tone: "info" }, title: "It never arrived: Stackhook found it in Azure DevOps" }, "found again")]];
}

/** Characters that cannot be seen, or turn the direction of others, and halves of characters. */
export const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2028-\u202f\u205f-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]|\udb40[\udc00-\udfff]/g;

/** Text that others have written, in a line of ours: it turns nothing around it, hides nothing, and has at most `most` characters. */
export function foreign(text, most = 400) {
  return h("bdi", {}, short(text, most));
}

/** The same as text, where there can be no element. */
export function short(text, most) {
  const characters = String(text ?? "");
  return (characters.length > most ? `${characters.slice(0, most)}…` : characters).replace(HIDDEN, " ");
}

/** The same of a sentence of ours that has the words of others between backticks. */
export function reasoned(text, most = 400) {
  const kept = short(text, most);
  const pieces = kept.split("`");
  // Without its other half a backtick is just one.
  if (pieces.length % 2 === 0) return h("bdi", {}, kept);
  return h("bdi", {}, pieces.map((piece, at) => (at % 2 === 1 ? h("code", {}, h("bdi", {}, piece)) : piece)));
}

/** So many of something: `many(2, "delivery", "deliveries")`. */
export function many(count, one, several = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : several}`;
}
