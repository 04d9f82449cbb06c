// Service hooks: what their events are called, and how they are as a whole.

import { tone, WORDS_OF_HOOKS } from "./badge.js";
import { count, listed } from "./words.js";

// As the portal calls them.
const TRIGGERS = {
  __proto__: null,
  "git.push": "Code pushed",
  "git.pullrequest.created": "Pull request created",
  "git.pullrequest.merged": "Pull request merge attempted",
  "git.pullrequest.updated": "Pull request updated",
  "ms.vss-code.git-pullrequest-comment-event": "Pull request commented on",
};

/** What a person calls an event. */
export function trigger(eventType) {
  return TRIGGERS[eventType] || eventType;
}

/** Whether a hook sends as it should. */
export function isWell(hook) {
  return hook.status === "enabled" && !hook.differs?.length && !hook.trouble;
}

// What is worst comes first; the rest of it is only counted.
const WORST = ["missing", "disabledBySystem", "disabledByInactiveIdentity", "unknown", "onProbation", "disabledByUser"];
const SAID = 2;

/** How the hooks of projects are, in a few words: `{tone, words}`. `projects` as `GET …/service-hooks` has them. */
export function healthOf(projects) {
  const hooks = projects.flatMap((project) => project.hooks);
  const gone = projects.flatMap((project) => project.missingEvents || []).length;
  if (hooks.length === 0 && gone === 0) return { tone: "warn", words: "no hooks yet" };
  const kinds = [
    [gone, "not made", "bad"],
    ...WORST.map((status) => [hooks.filter((hook) => hook.status === status).length, WORDS_OF_HOOKS[status], tone("hook", status)]),
    [hooks.filter((hook) => hook.status === "enabled" && hook.differs?.length).length, "changed by somebody", "warn"],
    [hooks.filter((hook) => hook.status === "enabled" && !hook.differs?.length && hook.trouble).length, "could not be looked at", "warn"],
  ].filter(([number]) => number > 0);
  if (kinds.length === 0) return { tone: "good", words: hooks.every(isWell) ? `${count(hooks.length, "hook")} well` : "unknown" };
  const said = kinds.slice(0, SAID).map(([number, words]) => `${number} ${words}`);
  const rest = kinds.slice(SAID).reduce((sum, [number]) => sum + number, 0);
  const isBad = kinds.some(([, , of]) => of === "bad");
  return { tone: isBad ? "bad" : "warn", words: listed(rest ? [...said, `${rest} more`] : said) };
}
