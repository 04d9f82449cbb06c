// Service hooks: what their events are called, and how they are as a whole.

import { WORDS_OF_HOOKS } from "./badge.js";
import { count, listed } from "./words.js";

// As the portal calls them.
const TRIGGERS = {
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

/** How the hooks of projects are, in a few words: `{tone, words}`. `projects` as `GET …/service-hooks` has them. */
export function healthOf(projects) {
  const hooks = projects.flatMap((project) => project.hooks);
  const gone = projects.flatMap((project) => project.missingEvents || []).length;
  if (hooks.length === 0 && gone === 0) return { tone: "warn", words: "no hooks yet" };
  const counts = new Map();
  const add = (words) => counts.set(words, (counts.get(words) || 0) + 1);
  for (const hook of hooks) {
    if (hook.status !== "enabled") add(WORDS_OF_HOOKS[hook.status] || hook.status);
    else if (hook.differs?.length) add("changed by somebody");
    else if (hook.trouble) add("could not be looked at");
  }
  if (gone) counts.set("not made", gone);
  if (counts.size === 0) return { tone: "good", words: `${count(hooks.length, "hook")} well` };
  const isBad = gone > 0 || hooks.some((hook) => !["enabled", "disabledByUser", "onProbation"].includes(hook.status));
  return { tone: isBad ? "bad" : "warn", words: listed([...counts].map(([words, number]) => `${number} ${words}`)) };
}
