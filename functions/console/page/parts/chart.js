// Deliveries over time by outcome: stacked bars. Each outcome has a pattern as well as a colour, and all of it is there as a table.

import { fill, h, svg, unique } from "../dom.js";
import { table } from "./table.js";

const ORDER = ["dispatched", "ignored", "stored", "test", "parked", "quarantined", "oversize"];
const HEIGHT = 160;
const [LEFT, RIGHT, TOP, BOTTOM] = [34, 4, 10, 22];
const MINUTE = 60_000;
// How wide a bar is, in time: the first that makes at most 60 of them.
const STEPS = [
  [5 * MINUTE, "5 minutes"],
  [60 * MINUTE, "an hour"],
  [360 * MINUTE, "6 hours"],
  [1440 * MINUTE, "a day"],
  [7 * 1440 * MINUTE, "a week"],
];
// What is drawn over an outcome's colour, in a square of 6.
const STRIPES = {
  dispatched: "",
  ignored: "M-1 1 1 -1M0 6 6 0M5 7 7 5",
  stored: "M1 3H3M4 0H6",
  test: "M0 1H6M0 4H6",
  parked: "M0 0 6 6M0 6 6 0",
  quarantined: "M1 0V6M4 0V6",
  oversize: "M-1 -1 7 7M-1 5 1 7M5 -1 7 1",
};

/**
 * A chart, whose room is there before it has anything to draw.
 * @param link gives the address of the deliveries of an outcome, where there is one.
 * @returns an element with `draw({rows, from, to, more})`: moments in milliseconds, `more` where older ones were not read; and with `unread()`.
 */
export function chart({ link } = {}) {
  const prefix = unique("chart");
  const picture = h("div", { class: "chart-picture" });
  const legend = h("ul", { class: "chart-legend", aria: { label: "Legend" } });
  const note = h("p", { class: "quiet small chart-note" }, "Counting …");
  const asTable = h("div", { class: "chart-table", tabindex: 0, role: "region", aria: { label: "Deliveries by time and outcome" } });
  const details = h("details", {}, h("summary", {}, "As a table"), asTable);
  const element = h("figure", { class: "chart" }, picture, legend, note, details);
  let drawn = null;

  const draw = () => {
    if (!drawn) return;
    const { rows, from, to, more } = drawn;
    const counted = count(rows, from, to);
    const width = Math.max(240, picture.clientWidth || 640);
    fill(picture, bars(counted, width, prefix));
    fill(legend, ORDER.map((outcome) => entry(outcome, counted.totals[outcome] || 0, prefix, link)));
    const all = rows.length.toLocaleString("en");
    fill(note, more ? `Only the newest ${all} are counted, those since ${clock(counted.oldest, true)}. ` : "", `Each bar is ${counted.words}.`);
    if (details.open) fill(asTable, figures(counted));
  };
  details.addEventListener("toggle", () => details.open && drawn && fill(asTable, figures(count(drawn.rows, drawn.from, drawn.to))));
  let known = 0;
  new ResizeObserver(() => {
    if (picture.clientWidth !== known) {
      known = picture.clientWidth;
      if (drawn) draw();
      else if (known > 0) fill(picture, bars(count([], Date.now() - 86_400_000, Date.now()), known, prefix));
    }
  }).observe(picture);
  element.draw = (what) => {
    drawn = what;
    draw();
  };
  element.unread = () => {
    if (!drawn) fill(note, "Nothing is counted: the log could not be read.");
  };
  fill(legend, ORDER.map((outcome) => entry(outcome, 0, prefix)));
  fill(picture, bars(count([], Date.now() - 86_400_000, Date.now()), 640, prefix));
  return element;
}

/** The rows by bar and outcome. */
function count(rows, from, to) {
  const [step, words] = STEPS.find(([size]) => (to - from) / size <= 60) || STEPS.at(-1);
  // Bars begin at full hours and days of the reader's clock.
  const shift = new Date(to).getTimezoneOffset() * MINUTE;
  const first = Math.floor((from - shift) / step) * step + shift;
  const most = Math.min(400, Math.floor((to - first) / step) + 1);
  const bins = Array.from({ length: Math.max(1, most) }, (_, at) => ({ from: first + at * step, total: 0 }));
  const totals = {};
  let oldest = to;
  for (const row of rows) {
    const received = Date.parse(row.receivedAt);
    oldest = Math.min(oldest, received);
    const bin = bins[Math.min(bins.length - 1, Math.floor((received - first) / step))];
    if (!bin) continue;
    const outcome = ORDER.includes(row.outcome) ? row.outcome : "stored";
    bin[outcome] = (bin[outcome] || 0) + 1;
    bin.total += 1;
    totals[outcome] = (totals[outcome] || 0) + 1;
  }
  return { bins, totals, step, words, oldest, highest: Math.max(0, ...bins.map((bin) => bin.total)) };
}

function bars({ bins, totals, step, highest }, width, prefix) {
  const plot = { width: width - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM };
  const top = Math.max(1, highest);
  const each = plot.width / bins.length;
  const drawn = bins.map((bin, at) => {
    let y = TOP + plot.height;
    const parts = ORDER.filter((outcome) => bin[outcome]).map((outcome) => {
      const height = Math.max(2, (bin[outcome] / top) * plot.height);
      y -= height;
      return svg("rect", { x: LEFT + at * each + each * 0.1, y, width: Math.max(1, each * 0.8), height, class: "chart-part", fill: `url(#${prefix}-${outcome})` });
    });
    return parts.length > 0 && svg("g", {}, svg("title", {}, `${span(bin.from, step)}: ${told(bin)}`), parts);
  });
  const every = Math.ceil(bins.length / Math.max(2, Math.floor(plot.width / 90)));
  const ticks = bins.map((bin, at) => at % every === 0 && at * each < plot.width - 40 && svg("text", { x: LEFT + at * each, y: HEIGHT - 6, class: "chart-text" }, clock(bin.from, step >= 360 * MINUTE, step < 1440 * MINUTE)));
  const all = Object.values(totals).reduce((sum, number) => sum + number, 0);
  const label = all === 0 ? "No deliveries in this time" : `${all} deliveries from ${clock(bins[0].from, true)}: ${told(totals)}. At most ${highest} in a bar.`;
  return svg(
    "svg",
    { viewBox: `0 0 ${width} ${HEIGHT}`, width: "100%", height: HEIGHT, role: "img", aria: { label } },
    svg("defs", {}, ORDER.map((outcome) => pattern(outcome, prefix))),
    svg("line", { x1: LEFT, x2: width - RIGHT, y1: TOP, y2: TOP, class: "chart-line" }),
    svg("line", { x1: LEFT, x2: width - RIGHT, y1: TOP + plot.height, y2: TOP + plot.height, class: "chart-line" }),
    svg("text", { x: LEFT - 6, y: TOP + 4, class: "chart-text", "text-anchor": "end" }, highest || ""),
    svg("text", { x: LEFT - 6, y: TOP + plot.height + 4, class: "chart-text", "text-anchor": "end" }, 0),
    ticks,
    drawn,
  );
}

function pattern(outcome, prefix) {
  return svg(
    "pattern",
    { id: `${prefix}-${outcome}`, width: 6, height: 6, patternUnits: "userSpaceOnUse" },
    svg("rect", { width: 6, height: 6, class: "chart-fill", data: { outcome } }),
    STRIPES[outcome] && svg("path", { d: STRIPES[outcome], class: "chart-stripe" }),
  );
}

function entry(outcome, number, prefix, link) {
  const address = number > 0 && link?.(outcome);
  const words = [h("span", { class: "number" }, number.toLocaleString("en")), ` ${outcome}`];
  return h("li", {}, svg("svg", { width: 14, height: 14, aria: { hidden: true } }, svg("rect", { width: 14, height: 14, fill: `url(#${prefix}-${outcome})` })), address ? h("a", { href: address }, words) : h("span", { class: number ? null : "quiet" }, words));
}

function figures({ bins, totals, step }) {
  const outcomes = ORDER.filter((outcome) => totals[outcome]);
  const rows = bins.filter((bin) => bin.total > 0).map((bin) => [span(bin.from, step), ...outcomes.map((outcome) => h("span", { class: "number" }, bin[outcome] || 0)), h("span", { class: "number" }, bin.total)]);
  return rows.length === 0 ? h("p", { class: "quiet" }, "There is nothing in this time.") : table("Deliveries, newest last", ["Time", ...outcomes, "all"], rows);
}

const told = (counts) => ORDER.filter((outcome) => counts[outcome]).map((outcome) => `${counts[outcome]} ${outcome}`).join(", ");

const hour = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

function clock(moment, hasDay, hasHour = true) {
  return [hasDay && day.format(moment), hasHour && hour.format(moment)].filter(Boolean).join(" ");
}

function span(from, step) {
  return step >= 1440 * MINUTE ? clock(from, true, false) : `${clock(from, true)} to ${clock(from + step, false)}`;
}
