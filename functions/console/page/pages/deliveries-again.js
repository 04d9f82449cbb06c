// Sending all deliveries again that the log's filters mean.

import { call } from "../api.js";
import { fill, h } from "../dom.js";
import { FILTERS, meant } from "../parts/deliveries.js";
import { ask } from "../parts/dialog.js";
import { tick } from "../parts/fields.js";
import { problem } from "../parts/states.js";
import { toast } from "../parts/toast.js";
import { count } from "../parts/words.js";

// As many as one wish is counted and sent: 50 requests of 200.
const MOST_PAGES = 50;

/** Asks for all that the filters mean once more, behind a dialog that first says what would come of it. */
export async function sendAgain(filters) {
  // A moment later other deliveries would be meant: those that come until it is confirmed were not counted.
  const asked = { ...meant(filters), to: meant(filters).to || new Date().toISOString() };
  if (!FILTERS.some((name) => filters[name])) {
    const chosen = await ask({
      title: "Send these again",
      content: h("p", {}, "Say first which are meant: choose an integration, a type, a repository, an outcome or a time above."),
      confirm: "Choose",
      act: async () => true,
    });
    // Once the dialog is gone, which gives the focus back to the button.
    if (chosen) document.querySelector("form[role=search] select")?.focus();
    return;
  }
  const body = Object.fromEntries(Object.entries(asked).filter(([, value]) => value));
  let wish = null;
  let ended = new AbortController();
  const place = h("div", { class: "column", role: "status" });
  const rerun = tick("rerun", "Ask for new runs, too", { hint: "Without it only what was missed is made up for: a push that has had its run gets no second one. With it each push and pull request of these deliveries gets one new run, however often it was told of." });

  const sum = (into, page) => {
    for (const key of ["matched", "redelivered", "skipped", "runs"]) into[key] = (into[key] || 0) + page[key];
    for (const one of page.deliveries) {
      for (const run of one.runs || []) into.stacks.set(run.stack, (into.stacks.get(run.stack) || 0) + 1);
      into.unknown += (one.unknown || []).length;
    }
  };
  const done = await ask({
    title: "Send these again",
    confirm: "Send again",
    busy: "Sending …",
    content: ({ ready }) => {
      const look = async () => {
        ended.abort();
        ended = new AbortController();
        const { signal } = ended;
        ready(false);
        wish = { rerun: rerun.box.checked, requestId: crypto.randomUUID(), stacks: new Map(), matched: 0, redelivered: 0, unknown: 0, pageToken: undefined };
        const counted = { stacks: new Map(), unknown: 0, matched: 0, skipped: 0, runs: 0 };
        fill(place, "Counting …");
        let pageToken;
        try {
          for (let page = 0; page < MOST_PAGES; page += 1) {
            const answer = await call("POST", "deliveries/redeliveries", { body: { ...body, rerun: wish.rerun, dryRun: true, pageToken }, signal });
            sum(counted, answer);
            pageToken = answer.nextPageToken;
            if (!pageToken) break;
            fill(place, `Counting … ${count(counted.matched, "delivery", "deliveries")} so far.`);
          }
          if (pageToken) {
            return fill(place, h("p", { class: "notice", data: { tone: "warn" } }, `These are more than ${counted.matched.toLocaleString("en")}: too many for one go. Narrow them by time, and send one part after the other.`));
          }
          fill(place, foretold(counted));
          wish.total = counted.matched - counted.skipped;
          ready(wish.total > 0);
        } catch (error) {
          if (!signal.aborted) fill(place, problem(error, { again: look }));
        }
      };
      rerun.box.addEventListener("change", look);
      look();
      return h("div", { class: "column" }, place, rerun.element);
    },
    act: async () => {
      rerun.box.disabled = true;
      // After trouble another try goes on where it stopped; the request's id makes sure that nothing is sent twice.
      do {
        const answer = await call("POST", "deliveries/redeliveries", { body: { ...body, rerun: wish.rerun, requestId: wish.requestId, pageToken: wish.pageToken } });
        sum(wish, answer);
        wish.pageToken = answer.nextPageToken;
        fill(place, `${wish.redelivered.toLocaleString("en")} sent again so far; ${count(wish.total, "delivery was", "deliveries were")} counted.`);
      } while (wish.pageToken);
      return wish;
    },
  });
  ended.abort();
  if (done) toast(`${count(done.redelivered, "delivery was", "deliveries were")} sent again. What comes of them appears in the log.`);
}

function foretold({ matched, skipped, runs, stacks, unknown }) {
  if (matched === 0) return h("p", {}, "No delivery fits these filters.");
  const most = 8;
  const named = [...stacks].sort(([, one], [, other]) => other - one);
  return [
    h("p", {}, h("strong", {}, count(matched, "delivery is", "deliveries are")), " meant, received until this moment. ", runs > 0 ? [h("strong", {}, count(runs, "run")), " would come of it:"] : matched === skipped ? "None can be sent again." : "No run would come of it that there is not already."),
    named.length > 0 && h("ul", { class: "column" }, named.slice(0, most).map(([stack, runs]) => h("li", {}, stack, ": ", count(runs, "run"))), named.length > most && h("li", {}, `and ${count(named.length - most, "more stack")}`)),
    unknown > 0 && h("p", {}, `${count(unknown, "more run")} may come of it: what changed was not kept, so nobody knows before it is asked again.`),
    skipped > 0 && h("p", { class: "quiet" }, `${count(skipped, "is", "are")} left out: only events can be dispatched, and each at most a thousand times.`),
  ];
}
