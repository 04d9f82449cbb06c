// States, as words with a tone. The word is always there: no state is told by its colour alone.

import { h } from "../dom.js";

// What a delivery came to, what a run is, how a hook is, how an integration is: [tone, words].
const WORDS = {
  outcome: {
    stored: ["plain", "stored"],
    dispatched: ["good", "dispatched"],
    ignored: ["plain", "ignored"],
    parked: ["bad", "parked"],
    quarantined: ["warn", "quarantined"],
    oversize: ["warn", "oversize"],
    test: ["info", "test"],
  },
  run: {
    queued: ["info", "queued"],
    running: ["info", "running"],
    finished: ["good", "finished"],
    failed: ["bad", "failed"],
    canceled: ["plain", "canceled"],
    superseded: ["plain", "superseded"],
  },
  hook: {
    enabled: ["good", "enabled"],
    onProbation: ["warn", "on probation"],
    disabledByUser: ["plain", "disabled by a person"],
    disabledBySystem: ["bad", "disabled by the system"],
    disabledByInactiveIdentity: ["bad", "disabled: its owner is inactive"],
    missing: ["bad", "missing"],
    unknown: ["warn", "unknown"],
  },
  verdict: {
    run: ["good", "would run"],
    none: ["plain", "would not run"],
    unknown: ["warn", "unknown"],
  },
  kind: {
    stack: ["plain", "stack"],
    module: ["info", "module"],
  },
  // What a delivery meant for a stack.
  decision: {
    run: ["good", "a run"],
    none: ["plain", "no run"],
    canceled: ["warn", "ended its run"],
  },
  integration: {
    active: ["good", "active"],
    pending: ["info", "being set up"],
    unlinking: ["warn", "being unlinked"],
  },
};

/** A badge: `badge("run", "failed")`. A word that is not known is shown as it is. */
export function badge(what, word) {
  const [tone, words] = known(what, word) || ["plain", word || "unknown"];
  return h("span", { class: "badge", data: { tone } }, words);
}

/** The tone of a state. */
export function tone(what, word) {
  return known(what, word)?.[0] || "plain";
}

/** Not what every object has: a state may come from elsewhere, and be called "constructor". */
function known(what, word) {
  return Object.hasOwn(WORDS[what], word) ? WORDS[what][word] : null;
}

/** What the states of a service hook are called. */
export const WORDS_OF_HOOKS = Object.fromEntries(Object.entries(WORDS.hook).map(([word, [, words]]) => [word, words]));

/** All words for a state of a kind. */
export const words = (what) => Object.keys(WORDS[what]);
