// When a personal access token ends, with a warning from thirty days before.

import { h } from "../dom.js";
import { daysUntil } from "./time.js";
import { count } from "./words.js";

const WARN_DAYS = 30;

/** `{tone, words}` for a day, or for none. */
function expiryOf(day) {
  if (!day) return { tone: "plain", words: "expiry not known" };
  const days = daysUntil(day);
  if (days < 0) return { tone: "bad", words: `expired ${count(-days, "day")} ago` };
  if (days === 0) return { tone: "bad", words: "expires today" };
  return { tone: days <= WARN_DAYS ? "warn" : "good", words: `expires in ${count(days, "day")}` };
}

/** The same as a badge, with the day. */
export function expiry(day) {
  const { tone, words } = expiryOf(day);
  if (!day) return h("span", { class: "quiet" }, words);
  return h("span", {}, h("span", { class: "badge", data: { tone } }, words), " ", h("span", { class: "quiet small number" }, day));
}
