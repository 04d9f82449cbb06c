// The delivery log: what was received, newest first, and what came of it. New ones come on top while one looks.

import { all, get, part } from "../api.js";
import { announce, setQuery } from "../app.js";
import { fill, h } from "../dom.js";
import { words } from "../parts/badge.js";
import { chart } from "../parts/chart.js";
import { FILTERS, TIMES, foreign, inOrder, meant, outcome, read, reasoned, since, types, typeWords } from "../parts/deliveries.js";
import { field, text } from "../parts/fields.js";
import { poll } from "../parts/poll.js";
import { empty, loading, problem } from "../parts/states.js";
import { row as tableRow, table } from "../parts/table.js";
import { when } from "../parts/time.js";
import { count } from "../parts/words.js";
import { sendAgain } from "./deliveries-again.js";

export const title = "Deliveries";

const COLUMNS = ["Received", "What happened", "Integration", "Outcome"];
const SECONDS = 3;
// Every so many looks all that the newest page shows is read again: what was parked long ago may have gone on.
const LOOK_AT_ALL = 10;
const A_DAY = 86_400_000;
const MOST_ROWS = 2_000;
// How wrong this machine's clock may be: AWS takes no signature that is further off.
const CLOCKS = 15 * 60_000;

export function render({ query, signal }) {
  const filters = Object.fromEntries(FILTERS.map((name) => [name, query[name] || ""]));
  const list = h("div", { class: "column log" });
  const picture = chart({ link: (word) => address({ ...filters, outcome: word }) });
  const trouble = h("div", { class: "place" });
  const state = h("p", { class: "quiet small log-state" });
  const above = h("button", { type: "button", class: "button log-above", data: { kind: "primary" }, hidden: true });
  const pause = h("button", { type: "button", class: "button", aria: { pressed: "false" } }, "Pause");
  const again = h("button", { type: "button", class: "button" }, "Send these again …");

  // What is shown under these filters: made anew with each change of them.
  let shown = null;
  let isPaused = false;

  const isOver = () => Boolean(filters.time === "" && filters.to && Date.parse(filters.to) < Date.now());
  const say = () => {
    const words = isOver() ? "This time is over: nothing new comes." : isPaused ? "Paused: what comes meanwhile is shown when you go on." : "New deliveries appear as they come.";
    if (state.textContent !== words) fill(state, words);
  };
  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.setAttribute("aria-pressed", String(isPaused));
    fill(pause, isPaused ? "Go on" : "Pause");
    say();
    if (!isPaused) look().catch(() => {});
  });
  above.addEventListener("click", () => {
    above.hidden = true;
    content(list).scrollIntoView({ block: "start" });
    content(list).querySelector("a")?.focus({ preventScroll: true });
  });
  addEventListener("scroll", () => {
    if (!above.hidden && list.getBoundingClientRect().top >= 0) above.hidden = true;
  }, { signal, passive: true });
  again.addEventListener("click", () => sendAgain(filters));

  const start = () => {
    shown?.ended.abort();
    shown = begin();
  };

  /** Reads what the filters mean, and shows it. */
  const begin = () => {
    const ended = new AbortController();
    signal.addEventListener("abort", () => ended.abort(), { signal: ended.signal });
    const asked = meant(filters);
    const one = { ended, asked, rows: new Map(), counted: new Map(), table: null, more: null, isRead: false, looks: 0, began: Date.now() };
    above.hidden = true;
    fill(trouble);
    fill(list, loading("Deliveries are read", 6));
    say();
    (async () => {
      try {
        await next(one, { pages: 5 });
        one.isRead = true;
      } catch (error) {
        if (!ended.signal.aborted) fill(list, problem(error, { again: start }));
      }
    })();
    (async () => {
      const to = asked.to ? Date.parse(asked.to) : null;
      const from = asked.from ? Date.parse(asked.from) : (to ?? Date.now()) - A_DAY;
      // What has no beginning or end of its own goes along with the time.
      const span = asked.to || filters.from ? null : Date.now() - from;
      one.extent = () => ({ from: span === null ? from : Date.now() - span, to: to === null ? Date.now() : Math.min(to, Date.now()) });
      try {
        const { rows, more } = await read({ ...asked, from: new Date(from).toISOString() }, { signal: ended.signal });
        for (const row of rows) if (!one.counted.has(row.id)) one.counted.set(row.id, row);
        one.isCut = more;
        one.isCounted = true;
        draw(one);
      } catch {
        // The list beside it says why.
        if (!ended.signal.aborted) picture.unread();
      }
    })();
    return one;
  };
  const draw = (one) => {
    if (!one.isCounted) return;
    const extent = one.extent();
    for (const [id, row] of one.counted) if (Date.parse(row.receivedAt) < extent.from) one.counted.delete(id);
    picture.draw({ rows: [...one.counted.values()], more: one.isCut, ...extent });
  };

  /** Reads on, until something was found or so many pages held nothing. */
  const next = async (one, { pages }) => {
    let found = [];
    for (let looked = 0; looked < pages && found.length === 0; looked += 1) {
      const page = await get("deliveries/deliveries", { ...one.asked, pageSize: 50, pageToken: one.more }, one.ended.signal);
      found = page.deliveries.filter((row) => !one.rows.has(row.id));
      one.more = page.nextPageToken;
      if (!one.more) break;
    }
    if (!one.table && found.length === 0) return fill(list, nothing(one));
    for (const row of found) put(one, row, { last: true });
    drawMore(one);
    return found;
  };

  /** Puts a row where it belongs, or what became of it into the one that is there. */
  const put = (one, row, { last = false, fresh = false } = {}) => {
    const known = one.rows.get(row.id);
    if (known) {
      if (told(known.row) !== told(row)) {
        fill(known.element.lastChild, outcome(row));
        fill(known.element.children[1], happened(row));
      }
      known.row = row;
      return known.element;
    }
    if (!one.table) {
      one.table = table("Deliveries, newest first", COLUMNS, []);
      one.foot = h("div", { class: "row" });
      fill(list, one.table, one.foot);
    }
    const element = tableRow(COLUMNS, { cells: cells(row), data: { fresh: fresh ? "" : null } });
    one.rows.set(row.id, { row, element });
    const body = one.table.querySelector("tbody");
    const behind = last ? null : [...one.rows.values()].filter((other) => other.element.isConnected && inOrder(row, other.row) < 0).sort((a, b) => inOrder(a.row, b.row))[0];
    body.insertBefore(element, behind?.element ?? null);
    return element;
  };

  const drawMore = (one) => {
    if (!one.foot) return;
    if (!one.more) return fill(one.foot, h("p", { class: "quiet small" }, "That is all there is."));
    const more = h("button", { type: "button", class: "button" }, "Show more");
    more.addEventListener("click", async () => {
      more.disabled = true;
      fill(more, "Reading …");
      try {
        const found = await next(one, { pages: 5 });
        announce(found.length > 0 ? `${count(found.length, "more delivery", "more deliveries")}` : "Nothing more was found so far.");
        const first = found.length > 0 && one.rows.get(found[0].id);
        (first ? first.element.querySelector("a") : one.foot.querySelector("button"))?.focus();
      } catch (error) {
        if (!one.ended.signal.aborted) fill(one.foot, problem(error, { again: () => drawMore(one) }));
      }
    });
    fill(one.foot, more);
  };

  const nothing = (one) => {
    one.table = null;
    if (one.more) {
      return empty("Nothing so far", "The newest deliveries were looked through, and none fits. There are older ones.", h("button", {
        type: "button",
        class: "button",
        on: { click: async () => {
          fill(list, loading("Older deliveries are read", 6));
          try {
            await next(one, { pages: 10 });
          } catch (error) {
            if (!one.ended.signal.aborted) fill(list, problem(error, { again: start }));
          }
        } },
      }, "Look further"));
    }
    if (FILTERS.some((name) => filters[name])) return empty("No delivery fits", "Nothing that was received is like this. Other filters may find more.", h("button", { type: "button", class: "button", on: { click: reset } }, "Reset the filters"));
    return empty(
      "Nothing was received yet",
      "Azure DevOps sends its events by service hooks. Make those of a project on its integration's page; then push something, or press Test on one of them in Azure DevOps (Project settings, Service hooks). It appears here by itself.",
      h("a", { class: "button", data: { kind: "primary" }, href: "/integrations" }, "See the integrations"),
    );
  };

  /** Looks for what is new, and what has become of what is shown. */
  const look = async () => {
    const one = shown;
    say();
    if (isPaused || !one?.isRead || isOver()) return;
    one.looks += 1;
    const { outcome: wanted, ...asked } = one.asked;
    const known = [...one.rows.values()].map((it) => it.row);
    const isWhole = one.looks % LOOK_AT_ALL === 0;
    const from = isWhole ? one.asked.from : since(known, one.asked.from || new Date(one.began - CLOCKS).toISOString());
    let rows;
    let more;
    try {
      ({ rows, more } = await read({ ...asked, from }, { pages: isWhole ? 1 : 5, signal: one.ended.signal }));
      fill(trouble);
    } catch (error) {
      if (error.name !== "AbortError" && !trouble.firstChild) fill(trouble, h("p", { class: "notice", role: "status", data: { tone: "warn" } }, `New deliveries cannot be seen at the moment: ${error.message} It is tried again.`));
      throw error;
    }
    if (one !== shown || isPaused) return;
    // So much came that there would be a hole between it and what is shown.
    if (more && !isWhole) return start();
    // A page that is open for days begins anew, once nobody reads further down.
    if (one.rows.size > MOST_ROWS && one.table.getBoundingClientRect().top >= 0) return start();
    take(one, rows, wanted);
  };

  const take = (one, rows, wanted) => {
    const fits = (row) => !wanted || row.outcome === wanted;
    let end = null;
    for (const it of one.rows.values()) if (!end || inOrder(it.row, end) > 0) end = it.row;
    // What is older than the last that is shown comes with "Show more".
    const fresh = rows.filter((row) => !one.rows.has(row.id) && fits(row) && (!one.more || !end || inOrder(row, end) < 0));
    const isHeld = one.table && (one.table.getBoundingClientRect().top < 0 || one.table.contains(document.activeElement) || one.table.matches(":hover"));
    const anchor = isHeld && [...one.table.querySelectorAll("tbody tr")].find((it) => it.getBoundingClientRect().bottom > 0);
    const before = anchor && anchor.getBoundingClientRect().top;
    for (const row of rows) if (one.rows.has(row.id)) put(one, row);
    for (const it of list.querySelectorAll("tr[data-fresh]")) if (fresh.length > 0) delete it.dataset.fresh;
    for (const row of fresh) put(one, row, { fresh: true });
    if (anchor) scrollBy(0, anchor.getBoundingClientRect().top - before);
    for (const row of rows) {
      if (fits(row)) one.counted.set(row.id, row);
      else one.counted.delete(row.id);
    }
    draw(one);
    if (fresh.length === 0) return;
    drawMore(one);
    const words = count(fresh.length, "new delivery", "new deliveries");
    announce(words);
    if (anchor && one.table.getBoundingClientRect().top < 0) {
      const unseen = Number(above.hidden ? 0 : above.dataset.count) + fresh.length;
      above.dataset.count = unseen;
      fill(above, `↑ ${count(unseen, "new delivery", "new deliveries")}`);
      above.hidden = false;
    }
  };

  const form = filterForm(filters, signal, () => {
    setQuery(filters);
    start();
  });
  const reset = () => {
    for (const name of FILTERS) filters[name] = "";
    form.show();
    setQuery(filters);
    start();
    form.focus();
  };
  form.onReset(reset);

  start();
  poll(look, SECONDS, signal);
  return [
    h("div", { class: "toolbar" }, h("h1", { tabindex: -1 }, "Deliveries"), h("div", { class: "row" }, pause, again)),
    form.element,
    h("section", { class: "card", aria: { label: "Deliveries over time" } }, picture),
    h("div", { class: "column" }, state, trouble),
    above,
    h("section", { class: "card", aria: { label: "The delivery log" } }, list),
  ];
}

const content = (list) => list.parentElement;
const told = (row) => JSON.stringify([row.outcome, row.reason, row.recovered]);

function address(filters) {
  const search = new URLSearchParams(Object.entries(filters).filter(([, value]) => value));
  return `/deliveries?${search}`;
}

function happened(row) {
  const where = [row.eventType && foreign(typeWords(row.eventType), 60), row.eventType && row.repository && " · ", row.repository && foreign(row.repository, 140)];
  return [
    h("a", { class: "log-summary", href: `/deliveries/${part(row.id)}` }, foreign(row.summary || "A delivery")),
    h("p", { class: "quiet small" }, row.eventType || row.repository ? where : "of no type that is known"),
    row.outcome === "parked" && row.reason && h("p", { class: "small log-summary" }, reasoned(row.reason)),
  ];
}

function cells(row) {
  return [
    [clock(row.receivedAt), " ", h("span", { class: "quiet small log-ago" }, when(row.receivedAt))],
    happened(row),
    h("a", { href: `/integrations/${part(row.integration)}` }, row.integration),
    outcome(row),
  ];
}

const hours = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const days = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

/** When, by the clock: with the day where it is not today. */
function clock(received) {
  const date = new Date(received);
  const isToday = date.toDateString() === new Date().toDateString();
  return h("time", { datetime: received, class: "number" }, isToday ? hours.format(date) : `${days.format(date)}, ${hours.format(date)}`);
}

/** The filters. Each change counts at once; what is typed, when one pauses. */
function filterForm(filters, signal, changed) {
  const option = (value, label) => h("option", { value }, label);
  const select = (...options) => h("select", {}, ...options);
  const integration = select(option("", "All"));
  const type = select(option("", "All"), types().map(([value, label]) => option(value, label)));
  if (filters.eventType && !types().some(([value]) => value === filters.eventType)) type.append(option(filters.eventType, filters.eventType));
  const repository = text({ placeholder: "Harbor/platform", value: filters.repository });
  const became = select(option("", "All"), words("outcome").map((word) => option(word, word)));
  const time = select(option("", "At any time"), TIMES.map(([value, label]) => option(value, label)), option("range", "From … to …"));
  const from = h("input", { type: "datetime-local" });
  const to = h("input", { type: "datetime-local" });
  const fields = {
    integration: field("integration", "Integration", integration),
    eventType: field("eventType", "Type", type),
    repository: field("repository", "Repository", repository),
    outcome: field("outcome", "Outcome", became),
    time: field("time", "Received", time),
    from: field("from", "From", from, { hint: "Of this machine's clock." }),
    to: field("to", "To", to, { hint: "Empty: until now." }),
  };
  const clear = h("button", { type: "button", class: "button", data: { kind: "quiet" } }, "Reset the filters");
  const element = h("form", { class: "card", role: "search", aria: { label: "Filters of deliveries" } }, h("div", { class: "filters" }, Object.values(fields).map((one) => one.element)), h("div", { class: "row" }, clear));
  element.addEventListener("submit", (event) => event.preventDefault());

  const show = () => {
    for (const [name, control] of Object.entries({ integration, eventType: type, repository, outcome: became })) {
      if (filters[name] && control.tagName === "SELECT" && ![...control.options].some((one) => one.value === filters[name])) control.append(option(filters[name], filters[name]));
      control.value = filters[name];
    }
    const isRange = !filters.time && Boolean(filters.from || filters.to);
    time.value = isRange ? "range" : TIMES.some(([word]) => word === filters.time) ? filters.time : "";
    from.value = local(filters.from);
    to.value = local(filters.to);
    ranges();
    clear.disabled = !FILTERS.some((name) => filters[name]);
  };
  const ranges = () => {
    fields.from.element.hidden = fields.to.element.hidden = time.value !== "range";
  };
  const take = () => {
    const isRange = time.value === "range";
    const next = {
      integration: integration.value,
      eventType: type.value,
      repository: repository.value.trim(),
      outcome: became.value,
      time: isRange ? "" : time.value,
      from: isRange ? moment(from.value) : "",
      to: isRange ? moment(to.value) : "",
    };
    fields.from.clear();
    if (next.from && next.to && next.from > next.to) return fields.from.refuse("It begins after it ends.");
    if (FILTERS.every((name) => filters[name] === next[name])) return;
    Object.assign(filters, next);
    clear.disabled = !FILTERS.some((name) => filters[name]);
    changed();
  };
  for (const control of [integration, type, became, from, to]) control.addEventListener("change", take);
  time.addEventListener("change", () => {
    ranges();
    if (time.value === "range") {
      if (!from.value) from.value = local(new Date(Date.now() - A_DAY).toISOString());
      from.focus();
    }
    take();
  });
  let timer;
  repository.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => !signal.aborted && take(), 500);
  });
  repository.addEventListener("change", take);

  show();
  all("setup/integrations", "integrations", { signal })
    .then(({ items }) => {
      for (const one of items) if (![...integration.options].some((it) => it.value === one.name)) integration.append(option(one.name, one.name));
    })
    .catch((error) => error.name !== "AbortError" && !signal.aborted && fields.integration.refuse(`They could not be read: ${error.message}`));
  return {
    element,
    show,
    focus: () => integration.focus(),
    onReset: (listener) => clear.addEventListener("click", listener),
  };
}

/** A moment for a field, by this machine's clock, and back. */
function local(moment) {
  const date = new Date(moment);
  if (!moment || Number.isNaN(date.getTime())) return "";
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function moment(value) {
  const date = new Date(value);
  return value && !Number.isNaN(date.getTime()) ? date.toISOString() : "";
}
