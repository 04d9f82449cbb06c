// Moments and spans, as a person says them. The exact moment is in the title.

import { h } from "../dom.js";

const UNITS = [
  ["year", 31_557_600],
  ["month", 2_629_800],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const exact = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

/** How long ago, or in how long. */
export function ago(moment, now = Date.now()) {
  const seconds = (new Date(moment).getTime() - now) / 1000;
  for (const [unit, size] of UNITS) if (Math.abs(seconds) >= size) return relative.format(Math.round(seconds / size), unit);
  return Math.abs(seconds) < 10 ? "just now" : relative.format(Math.round(seconds), "second");
}

/** A moment as an element that stays true while it is shown. */
export function when(moment) {
  if (!moment) return h("span", { class: "quiet" }, "never");
  return h("time", { datetime: moment, title: exact.format(new Date(moment)), data: { relative: "" } }, ago(moment));
}

/** A moment, exactly. */
export function at(moment) {
  return h("time", { datetime: moment }, exact.format(new Date(moment)));
}

/** How long something took, from one moment to another. */
export function lasted(from, to) {
  const seconds = Math.max(0, Math.round((new Date(to) - new Date(from)) / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Whole days from today to a day (`YYYY-MM-DD`), in UTC as Azure DevOps has it. */
export function daysUntil(day) {
  return Math.round((Date.parse(`${day}T00:00:00Z`) - Date.parse(`${new Date().toISOString().slice(0, 10)}T00:00:00Z`)) / 86_400_000);
}

setInterval(() => {
  for (const element of document.querySelectorAll("time[data-relative]")) {
    const words = ago(element.getAttribute("datetime"));
    if (element.textContent !== words) element.textContent = words;
  }
}, 10_000);
