// One delivery: what came, what became of it, what each stack made of it and why, and the bytes.

import { call, get, part } from "../api.js";
import { announce } from "../app.js";
import { fill, h } from "../dom.js";
import { badge } from "../parts/badge.js";
import { copyButton } from "../parts/copy.js";
import { crumbs } from "../parts/crumbs.js";
import { foreign, outcome, reasoned, short, typeWords } from "../parts/deliveries.js";
import { ask } from "../parts/dialog.js";
import { tick } from "../parts/fields.js";
import { payload, sized } from "../parts/payload.js";
import { poll } from "../parts/poll.js";
import { loading, problem } from "../parts/states.js";
import { at, when } from "../parts/time.js";
import { toast } from "../parts/toast.js";
import { count, sentence } from "../parts/words.js";

export const title = "Delivery";

// What an outcome means, for whoever reads it the first time.
const MEANS = {
  stored: "It was stored, and is being dispatched: what each stack makes of it appears here.",
  dispatched: "It asked for runs, or ended some.",
  ignored: "It asks for nothing.",
  parked: "It waits.",
  test: "The Test button of Azure DevOps sent it: a sample, which asks for nothing. It shows that the hook arrives.",
  quarantined: "It could not be understood, and nothing was made of it. The bytes are kept.",
  oversize: "It was larger than 2 MB, and nothing was made of it.",
};
// Why these cannot be sent again: the interface would answer 409.
const NO_EVENT = {
  test: "It cannot be sent again: only an event can be dispatched, and this is a sample.",
  quarantined: "It cannot be sent again: only an event can be dispatched, and this was not understood. What happened is found by comparing with Azure DevOps, once the schedule comes to it.",
  oversize: "It cannot be sent again: only an event can be dispatched, and this was not kept whole. What happened is found by comparing with Azure DevOps, once the schedule comes to it.",
};
// How long what comes of a redelivery is waited for.
const PATIENCE = 120_000;
const MOST_STATES = 20;
const LARGE = 200_000;

export function render({ params, signal }) {
  const path = `deliveries/deliveries/${part(params.id)}`;
  const heading = h("h1", { tabindex: -1 }, "Delivery");
  const trouble = h("div", { class: "place" });
  const body = h("div", { class: "loaded" }, loading("The delivery is read", 8));
  const became = h("section", { class: "card", aria: { labelledby: "became" } });
  const decided = h("section", { class: "card", aria: { labelledby: "decided" } });
  let delivery = null;
  let awaited = null;

  const again = h("button", { type: "button", class: "button", data: { kind: "primary" } }, "Send again …");
  again.addEventListener("click", async () => {
    const done = await sendAgain(delivery, signal);
    if (!done || signal.aborted) return;
    awaited = { before: delivery.decidedAt, until: Date.now() + PATIENCE, number: done.redelivery };
    toast(`It was sent again, for the ${ordinal(done.redelivery)} time${done.rerun ? ", with new runs" : ""}.`);
    drawOutcome();
  });

  const drawOutcome = () => {
    const { reason, note } = delivery;
    const why = note || reason;
    fill(
      became,
      h("div", { class: "toolbar" }, h("h2", { id: "became" }, "What became of it"), !NO_EVENT[delivery.outcome] && again),
      h("p", { class: "row" }, outcome(delivery), h("span", {}, MEANS[delivery.outcome] || "")),
      why && h("p", {}, reasoned(sentence(why), 2_000)),
      delivery.recovered && h("p", {}, "It never arrived: Stackhook found what happened in Azure DevOps, and made this delivery of it."),
      h("div", { class: "place", role: "status" }, awaited && h("p", { class: "notice", data: { tone: "info" } }, awaited.until > Date.now() ? "Sent again: what comes of it appears here …" : "Sent again, and nothing else has come of it so far. The page is worth another look later.")),
      NO_EVENT[delivery.outcome] && h("p", { class: "quiet" }, NO_EVENT[delivery.outcome]),
      delivery.outcome === "parked" && h("p", {}, h("a", { href: `/integrations/${part(delivery.integration)}` }, "See the integration")),
    );
  };
  const drawDecided = () => fill(decided, h("h2", { id: "decided" }, "What the stacks made of it"), decisions(delivery, signal));

  const draw = () => {
    fill(heading, foreign(delivery.summary || "A delivery", 400));
    document.title = `${short(delivery.summary || "Delivery", 80)} · Stackhook`;
    drawOutcome();
    drawDecided();
    fill(body, became, decided, h("section", { class: "card", aria: { labelledby: "facts" } }, h("h2", { id: "facts" }, "What came"), facts(delivery)), h("section", { class: "card", aria: { labelledby: "payload" } }, h("h2", { id: "payload" }, "Payload"), payload(delivery)));
  };

  const load = async () => {
    delivery = await get(path, {}, signal);
    if (signal.aborted) return;
    draw();
    announce(short(delivery.summary || "The delivery", 200));
  };
  const begin = async () => {
    fill(body, loading("The delivery is read", 8));
    try {
      await load();
    } catch (error) {
      if (error.name === "AbortError" || signal.aborted) return;
      if (error.status === 404) fill(heading, "There is no such delivery");
      fill(body, problem(error, { again: begin }), h("p", {}, h("a", { href: "/deliveries" }, "All deliveries")));
      return;
    }
    poll(look, 2, signal);
  };
  // While something is yet to come of it: also of what is parked, which goes on by itself.
  let looks = 0;
  const look = async () => {
    looks += 1;
    if (!awaited && delivery.outcome !== "stored" && !(delivery.outcome === "parked" && looks % 3 === 0)) return;
    if (awaited && awaited.until < Date.now()) {
      const hasFocus = became.contains(document.activeElement);
      drawOutcome();
      awaited = null;
      if (hasFocus) again.focus();
      return;
    }
    // A large one is read anew less often.
    if (awaited && delivery.payloadSize > LARGE && looks % 5 !== 0) return;
    let now;
    try {
      // Its row in the log is small, however large the payload is.
      if (!awaited) {
        const { integration, receivedAt } = delivery;
        const page = await get("deliveries/deliveries", { integration, from: receivedAt, to: receivedAt, pageSize: 100 }, signal);
        const row = page.deliveries.find((one) => one.id === delivery.id);
        if (!row || row.outcome === delivery.outcome) return fill(trouble);
      }
      now = await get(path, {}, signal);
      fill(trouble);
    } catch (error) {
      if (error.name !== "AbortError" && !trouble.firstChild) fill(trouble, h("p", { class: "notice", data: { tone: "warn" } }, `What becomes of it cannot be seen at the moment: ${error.message} It is tried again.`));
      throw error;
    }
    if (signal.aborted || now.decidedAt === delivery.decidedAt) return;
    const isSame = awaited && JSON.stringify([now.outcome, now.decisions, now.note]) === JSON.stringify([delivery.outcome, delivery.decisions, delivery.note]);
    const words = isSame ? "Nothing more came of it: all that it asks for is there." : now.outcome === delivery.outcome ? "What the stacks made of it is new." : `It is ${now.outcome} now.`;
    delivery = now;
    if (awaited) toast(words);
    else announce(words);
    awaited = null;
    const hadFocus = became.contains(document.activeElement);
    drawOutcome();
    drawDecided();
    if (hadFocus) again.focus();
  };
  begin();

  return [crumbs(["Deliveries", "/deliveries"]), heading, trouble, body];
}

function facts(delivery) {
  const id = (value, what) => h("div", { class: "copyable" }, h("code", {}, foreign(value, 300)), copyButton(what, () => String(value)));
  const rows = [
    ["Received", [at(delivery.receivedAt), " (", when(delivery.receivedAt), ")"]],
    delivery.createdDate && ["Happened", at(delivery.createdDate)],
    delivery.decidedAt && ["Decided", at(delivery.decidedAt)],
    ["Integration", h("a", { href: `/integrations/${part(delivery.integration)}` }, delivery.integration)],
    delivery.eventType && ["Type", [foreign(typeWords(delivery.eventType), 100), " ", h("code", {}, foreign(delivery.eventType, 200))]],
    delivery.repository && ["Repository", [foreign(delivery.repository, 300), " ", h("a", { class: "small", href: `/deliveries?${new URLSearchParams({ repository: delivery.repositoryId || delivery.repository })}` }, "its deliveries")]],
    delivery.repositoryId && ["Repository's id", id(delivery.repositoryId, "the repository's id")],
    delivery.eventId && ["Event", id(delivery.eventId, "the event's id")],
    delivery.subscriptionId && ["Service hook", id(delivery.subscriptionId, "the service hook's id")],
    delivery.notificationId !== undefined && delivery.notificationId !== null && ["Notification", String(delivery.notificationId)],
    ["Size", sized(delivery.payloadSize)],
    delivery.payloadSha256 && ["SHA-256", id(delivery.payloadSha256, "the digest")],
    ["Delivery", id(delivery.id, "the delivery's id")],
  ];
  return h("dl", { class: "facts" }, rows.filter(Boolean).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** For each reason the stacks, and their runs with how they are. */
function decisions(delivery, signal) {
  if (!delivery.decisions) {
    return h("p", { class: "quiet" }, delivery.outcome === "stored" ? "Nothing is decided yet." : "No stack was asked.");
  }
  if (delivery.decisions.length === 0) {
    if (/^no stack follows/.test(delivery.note || "")) return h("p", {}, "No stack was asked, for the reason above. ", h("a", { href: "/stacks/-/new" }, "Let one follow it"));
    return h("p", { class: "quiet" }, delivery.note ? "No stack was asked, for the reason above." : "No stack follows this repository. ", !delivery.note && h("a", { href: "/stacks/-/new" }, "Let one follow it"));
  }
  let looked = 0;
  const runOf = (id) => {
    const state = h("span");
    if (looked < MOST_STATES) {
      looked += 1;
      get(`runs/runs/${part(id)}`, {}, signal)
        .then((run) => fill(state, badge("run", run.state)))
        .catch((error) => error.status === 404 && fill(state, h("span", { class: "quiet small" }, "not kept any more")));
    }
    return h("span", { class: "row" }, h("a", { href: `/runs/${part(id)}` }, "run ", h("code", {}, id.slice(0, 8))), state);
  };
  const rank = { run: 0, canceled: 1, none: 2 };
  const sorted = [...delivery.decisions].sort((one, other) => (rank[one.verdict] ?? 3) - (rank[other.verdict] ?? 3));
  return h(
    "ul",
    { class: "attention" },
    sorted.map(({ verdict, reason, stacks, runs = [] }) =>
      h(
        "li",
        { class: "notice", data: { tone: verdict === "run" ? "good" : verdict === "canceled" ? "warn" : null } },
        h("p", { class: "row" }, badge("decision", verdict), h("span", {}, reasoned(sentence(reason), 1_000))),
        stackList(stacks, runs, runOf),
      ),
    ),
  );
}

const MOST_STACKS = 30;

function stackList(stacks, runs, runOf) {
  const item = (stack, index) => h("li", { class: "row" }, h("a", { href: `/stacks/${part(stack)}` }, stack), runs[index] && runOf(runs[index]));
  const list = h("ul", { class: "column plain-list" }, stacks.slice(0, MOST_STACKS).map(item));
  if (stacks.length <= MOST_STACKS) return list;
  const more = h("button", { type: "button", class: "button", data: { kind: "quiet" } }, `Show ${count(stacks.length - MOST_STACKS, "more stack")}`);
  more.addEventListener("click", () => {
    const first = list.children.length;
    list.append(...stacks.slice(MOST_STACKS).map((stack, index) => item(stack, index + MOST_STACKS)));
    more.remove();
    list.children[first].querySelector("a").focus();
  });
  return [list, more];
}

/** Asks for one delivery once more; a dialog says first what would come of it. */
async function sendAgain(delivery, signal) {
  const path = `deliveries/deliveries/${part(delivery.id)}`;
  const place = h("div", { class: "column", role: "status" });
  const rerun = tick("rerun", "Ask for new runs, too", { hint: "Without it only what was missed is made up for: what has had its run gets no second one. With it every stack that this asks for a run gets a new one." });
  let wish = null;
  let ended = new AbortController();
  const done = await ask({
    title: "Send this again",
    confirm: "Send again",
    busy: "Sending …",
    content: ({ ready }) => {
      const foretell = async () => {
        ended.abort();
        ended = new AbortController();
        signal.addEventListener("abort", () => ended.abort(), { signal: ended.signal });
        const mine = ended.signal;
        // Another wish is another request; the same one, tried again after trouble, is not.
        wish = { rerun: rerun.box.checked, requestId: crypto.randomUUID() };
        ready(false);
        fill(place, "Looking what would come of it …");
        try {
          fill(place, foretold(await call("POST", `${path}/redelivery`, { body: { rerun: wish.rerun, dryRun: true }, signal: mine }), wish.rerun));
          ready(true);
        } catch (error) {
          if (!mine.aborted) fill(place, problem(error, { again: foretell }));
        }
      };
      rerun.box.addEventListener("change", foretell);
      foretell();
      return h("div", { class: "column" }, place, rerun.element);
    },
    act: () => call("POST", `${path}/redelivery`, { body: wish }),
  });
  ended.abort();
  return done;
}

function foretold(it, rerun) {
  if (it.skipped) return h("p", { class: "notice", data: { tone: "warn" } }, foreign(it.skipped, 500));
  const line = ({ stack, kind, reason }) => h("li", {}, h("strong", {}, stack), kind && ` (${kind})`, ": ", reasoned(reason, 300));
  const [runs, unknown] = [it.runs || [], it.unknown || []];
  const most = 12;
  return [
    runs.length > 0 ? h("p", {}, `By the stacks as they are now ${count(runs.length, "run")} would come of it:`) : h("p", {}, unknown.length > 0 ? "No run is certain to come of it." : rerun ? "No run would come of it." : "No run would come of it that there is not already. It can be sent again all the same."),
    runs.length > 0 && h("ul", { class: "column plain-list" }, runs.slice(0, most).map(line), runs.length > most && h("li", {}, `and ${count(runs.length - most, "more run")}`)),
    unknown.length > 0 && [h("p", {}, "Of these it is not known before Azure DevOps is asked again:"), h("ul", { class: "column plain-list" }, unknown.slice(0, most).map(line), unknown.length > most && h("li", {}, `and ${count(unknown.length - most, "more stack")}`))],
    it.note && h("p", { class: "quiet" }, reasoned(it.note, 500)),
  ];
}

function ordinal(number) {
  const last = number % 100;
  const ending = last >= 11 && last <= 13 ? "th" : ({ 1: "st", 2: "nd", 3: "rd" }[number % 10] ?? "th");
  return `${number}${ending}`;
}
