// Which of the last deliveries of a repository a stack, as it stands in the form, would have run on, and why not on the others.

import { call, get, part } from "../api.js";
import { fill, h, unique } from "../dom.js";
import { badge } from "./badge.js";
import { reasoned } from "./deliveries.js";
import { empty, loading, problem } from "./states.js";
import { when } from "./time.js";

const MOST = 20;
const PAUSE = 400;
// A page of the log may be short where others' deliveries lie between; so many are read at the most.
const PAGES = 10;

/**
 * @param onrefusal called with a refusal that is about a field, which is then shown there.
 * @param onnotes called with the notes of an answer, and with none before it.
 * @returns `{element, summary, show(request)}`: a card; a line with the counts, to stand where one types; what to look at: the body of
 * `POST /stacks/preview` without its deliveries, or null while it is not whole yet.
 */
export function preview({ signal, onrefusal, onnotes }) {
  const heading = unique("preview");
  const summary = h("p", { class: "preview-summary quiet", role: "status" });
  const place = h("div", { class: "preview-list" });
  const element = h("section", { class: "card", aria: { labelledby: heading } }, h("h2", { id: heading }, `What it would have made of the last ${MOST} deliveries`), place);
  let asked;
  let timer;
  let ended = new AbortController();
  let repository;
  let ids;
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    ended.abort();
  });

  const look = async (request) => {
    const { signal: overtaken } = ended;
    const late = setTimeout(() => fill(summary, "Looking what it would have run on …"), 150);
    try {
      const of = `${request.integration}/${request.repository}`;
      if (repository !== of) {
        ids = await newest(request, overtaken);
        repository = of;
      }
      const told = ids.length > 0 && (await call("POST", "stacks/stacks/preview", { body: { ...request, deliveries: ids }, signal: overtaken }));
      if (overtaken.aborted) return;
      fill(summary, told ? counts(told) : "There are no deliveries of this repository to try it on.");
      onnotes((told && told.notes) || []);
      fill(place, told ? list(told.deliveries) : nothing());
    } catch (error) {
      if (error.name === "AbortError" || overtaken.aborted) return;
      // One of the deliveries may have been kept long enough meanwhile: the next look asks for them anew.
      if (error.field === "deliveries") repository = undefined;
      asked = undefined;
      if (error.field && onrefusal(error)) {
        fill(summary, "Mend what is marked to see what it would have run on.");
        fill(place, h("p", { class: "quiet" }, "What is marked in the form cannot be looked for."));
      } else {
        fill(summary, "What it would have run on cannot be said.");
        fill(place, problem(error, { again: () => show(request) }));
      }
    } finally {
      clearTimeout(late);
      place.removeAttribute("aria-busy");
    }
  };
  const show = (request) => {
    const next = JSON.stringify(request);
    if (next === asked) return;
    const isFirst = place.childElementCount === 0 || !asked || asked === "null";
    asked = next;
    clearTimeout(timer);
    ended.abort();
    ended = new AbortController();
    onnotes([]);
    if (!request) {
      fill(summary, "Choose a repository and a branch to see what it would have run on.");
      fill(place, h("p", { class: "quiet" }, `The last ${MOST} deliveries of the repository are listed here, each with whether it would have run, and why.`));
      return;
    }
    // What is there stays until the next answer, so that nothing jumps while somebody types.
    if (isFirst && !place.querySelector("li")) fill(place, loading("The deliveries are looked at", 6));
    place.setAttribute("aria-busy", "true");
    timer = setTimeout(() => look(request), PAUSE);
  };
  return { element, summary, show };
}

async function newest({ integration, repository }, signal) {
  const found = [];
  let pageToken;
  for (let page = 0; page < PAGES && found.length < MOST; page += 1) {
    const answer = await get("deliveries/deliveries", { integration, repository, pageSize: MOST, pageToken }, signal);
    found.push(...answer.deliveries.map(({ id }) => id));
    pageToken = answer.nextPageToken;
    if (!pageToken) break;
  }
  return found.slice(0, MOST);
}

function counts({ run, none, unknown, deliveries }) {
  const all = deliveries.length === 1 ? "The only delivery" : deliveries.length < MOST ? `Of all ${deliveries.length} deliveries` : `Of the last ${deliveries.length} deliveries`;
  if (deliveries.length === 1) return `${all} ${run ? "would have run it" : none ? "would not have run it" : "may have run it: that is not known"}.`;
  return `${all} ${run} would have run it, ${none} would not${unknown ? `, and of ${unknown} it is not known` : ""}.`;
}

function list(deliveries) {
  return h(
    "ol",
    { class: "preview-items", aria: { label: "Deliveries, newest first" } },
    deliveries.map((one) =>
      h(
        "li",
        {},
        h("div", { class: "preview-verdict" }, badge("verdict", one.verdict)),
        h(
          "div",
          {},
          h("p", {}, h("a", { href: `/deliveries/${part(one.id)}` }, one.summary)),
          h("p", { class: "quiet small" }, one.kind && `${one.runs > 1 ? `${one.runs} ${one.kind} runs` : `${one.kind} run`}: `, reasoned(one.reason), " · ", when(one.receivedAt)),
        ),
      ),
    ),
  );
}

function nothing() {
  return empty(
    "No deliveries of this repository yet",
    "They come as soon as somebody pushes, or opens a pull request, while the project's service hooks are on. The stack can be created all the same.",
  );
}
