// What was received, to be read: JSON indented, searchable in all of it, drawn in parts where it is long.

import { fill, h } from "../dom.js";
import { HIDDEN } from "./deliveries.js";
import { toast } from "./toast.js";
import { field, text } from "./fields.js";

// How much is drawn at once, in characters. A browser lays a few of these out at once without a pause.
const PART = 60_000;
// Deeper than this lines are not indented any further, or a megabyte of brackets would become gigabytes of spaces.
const DEEPEST = 30;
// And what is deeper than that, or would become longer than that, is left as it came.
const [MOST_LEVELS, MOST_LAID_OUT] = [100, 16_000_000];
const MOST_MARKS = 2_000;
const MOST_FOUND = 50_000;

/**
 * The payload of a delivery.
 * @param delivery as the interface shows it: `payload`, `payloadEncoding`, `payloadSize`, `outcome`.
 */
export function payload(delivery) {
  const { words, bytes } = received(delivery);
  const laidOut = words === null ? delivery.payload : pretty(words);
  const shown = visible(laidOut);
  const hasHidden = shown !== laidOut;
  const parts = cut(shown);
  let part = 0;
  let found = [];
  let current = -1;

  const code = h("pre", { class: "code payload", tabindex: 0, role: "region", aria: { label: "The payload" }, dir: "ltr" });
  const count = h("p", { class: "small number payload-count", role: "status" });
  const input = text({ type: "search", enterkeyhint: "search" });
  const search = field("search", "Search in the payload", input);
  const previous = h("button", { type: "button", class: "button", disabled: true }, "Previous");
  const next = h("button", { type: "button", class: "button", disabled: true }, "Next");
  const where = h("span", { class: "small number" });
  const back = h("button", { type: "button", class: "button", data: { kind: "quiet" } }, "Part before");
  const on = h("button", { type: "button", class: "button", data: { kind: "quiet" } }, "Next part");
  const pager = h("div", { class: "row", hidden: parts.length < 2 }, back, where, on);

  const draw = () => {
    const from = parts[part];
    const to = parts[part + 1] ?? shown.length;
    const pieces = [];
    let at = from;
    let marks = 0;
    let now = null;
    for (const [index, [begin, end]] of found.entries()) {
      if (end <= from || begin >= to) continue;
      if (marks >= MOST_MARKS && index !== current) continue;
      const [first, last] = [Math.max(begin, from), Math.min(end, to)];
      if (first < at) continue;
      if (first > at) pieces.push(shown.slice(at, first));
      const mark = h("mark", { data: { current: index === current ? "" : null } }, shown.slice(first, last));
      if (index === current) now = mark;
      pieces.push(mark);
      at = last;
      marks += 1;
    }
    pieces.push(shown.slice(at, to));
    fill(code, pieces);
    fill(where, `Part ${part + 1} of ${parts.length}`);
    back.disabled = part === 0;
    on.disabled = part === parts.length - 1;
    if (now) code.scrollTop += now.getBoundingClientRect().top - code.getBoundingClientRect().top - code.clientHeight / 3;
    else code.scrollTop = 0;
  };
  const show = (which) => {
    part = Math.min(parts.length - 1, Math.max(0, which));
    draw();
  };
  const move = (by) => {
    if (found.length === 0) return;
    current = (current + by + found.length) % found.length;
    part = parts.findLastIndex((from) => from <= found[current][0]);
    draw();
    say();
  };
  const say = () => {
    const all = found.length >= MOST_FOUND ? `${MOST_FOUND.toLocaleString("en")} or more` : found.length.toLocaleString("en");
    fill(count, input.value === "" ? "" : found.length === 0 ? "Not found" : `${(current + 1).toLocaleString("en")} of ${all}`);
    previous.disabled = next.disabled = found.length < 2;
  };
  const look = () => {
    const wanted = input.value;
    found = [];
    current = -1;
    if (wanted) {
      const pattern = new RegExp(wanted.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"), "gi");
      for (const match of shown.matchAll(pattern)) {
        found.push([match.index, match.index + match[0].length]);
        if (found.length >= MOST_FOUND) break;
      }
    }
    if (found.length > 0) {
      // From where one is.
      current = Math.max(0, found.findIndex(([begin]) => begin >= parts[part]));
      part = parts.findLastIndex((from) => from <= found[current][0]);
    }
    draw();
    say();
  };
  let timer;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, 200);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      move(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape" && input.value) {
      event.preventDefault();
      input.value = "";
      look();
    }
  });
  previous.addEventListener("click", () => move(-1));
  next.addEventListener("click", () => move(1));
  back.addEventListener("click", () => show(part - 1));
  on.addEventListener("click", () => show(part + 1));

  draw();
  return [
    h("div", { class: "payload-search" }, search.element, h("div", { class: "row" }, previous, next, count), h("div", { class: "row" }, copy(delivery, words), download(delivery, words, bytes))),
    h("p", { class: "quiet small" }, described(delivery, words, laidOut, parts.length), hasHidden && " Characters that cannot be seen, or turn the direction of what is around them, are shown as \\u and their number; copying gives what was received."),
    pager,
    code,
  ];
}

/** Text, where it is some, and the bytes of what is none, or came as base64 since it is too long to be told as text. */
function received({ payload: sent, payloadEncoding }) {
  if (payloadEncoding !== "base64") return { words: sent, bytes: null };
  const bytes = Uint8Array.from(atob(sent), (one) => one.charCodeAt(0));
  try {
    return { words: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes), bytes };
  } catch {
    return { words: null, bytes };
  }
}

function described({ payloadSize, outcome }, words, laidOut, parts) {
  const size = sized(payloadSize);
  const form = words === null ? "It is no text: what stands here is its base64." : laidOut !== words ? "Indented to be read; nothing else of it is changed." : isJson(words) ? "It stands here as it came: there is nothing to indent, or too much." : "It is no JSON, and stands here as it came.";
  const kept = outcome === "oversize" ? " Only the first 64 KB of it were kept." : "";
  return `${size} were received.${kept} ${form}${parts > 1 ? ` It is shown in ${parts} parts; the search is in all of them.` : ""}`;
}

export function sized(bytes) {
  if (bytes === undefined || bytes === null) return "Some bytes";
  if (bytes < 1024) return `${bytes} bytes`;
  const [size, unit] = bytes < 1024 * 1024 ? [bytes / 1024, "KB"] : [bytes / 1024 / 1024, "MB"];
  return `${size.toLocaleString("en", { maximumFractionDigits: 1 })} ${unit} (${bytes.toLocaleString("en")} bytes)`;
}

function copy(delivery, words) {
  const what = words === null ? "the base64" : "the payload";
  return h("button", {
    type: "button",
    class: "button",
    on: {
      click: async () => {
        try {
          await navigator.clipboard.writeText(words ?? delivery.payload);
          toast(words === null ? "Copied the base64 of what was received." : "Copied the payload as it was received.");
        } catch {
          toast(`The browser does not let ${what} be copied: mark it, and copy it by hand, or download it.`, { tone: "bad" });
        }
      },
    },
  }, words === null ? "Copy the base64" : "Copy as received");
}

function download(delivery, words, bytes) {
  return h("button", {
    type: "button",
    class: "button",
    on: {
      click: () => {
        // Of no type that a browser would open by itself.
        const address = URL.createObjectURL(new Blob([bytes ?? words], { type: "application/octet-stream" }));
        const name = `delivery-${String(delivery.receivedAt).replace(/[^0-9TZ]/g, "")}.${words !== null && isJson(words) ? "json" : words === null ? "bin" : "txt"}`;
        h("a", { href: address, download: name }).click();
        setTimeout(() => URL.revokeObjectURL(address), 10_000);
      },
    },
  }, "Download");
}

function isJson(words) {
  try {
    JSON.parse(words);
    return true;
  } catch {
    return false;
  }
}

/**
 * JSON with each member on a line of its own; what is none as it is. The text is laid out, not read and written anew: numbers that no
 * double holds, and members that stand there twice, stay as they came.
 */
function pretty(words) {
  if (!isJson(words)) return words;
  const out = [];
  const token = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gs;
  let depth = 0;
  let before = "";
  let length = 0;
  const line = () => `\n${"  ".repeat(Math.min(depth, DEEPEST))}`;
  for (const [piece] of words.matchAll(token)) {
    if (piece === "}" || piece === "]") {
      depth -= 1;
      out.push(before === "{" || before === "[" ? piece : line() + piece);
    } else {
      if (before === "{" || before === "[" || before === ",") out.push(line());
      out.push(piece === ":" ? ": " : piece);
      if (piece === "{" || piece === "[") depth += 1;
    }
    before = piece;
    length += out.at(-1).length + 2 * Math.min(depth, DEEPEST);
    if (depth > MOST_LEVELS || length > MOST_LAID_OUT) return words;
  }
  return out.join("");
}

/** Characters that cannot be seen, or turn the direction of others, as \u and their number. */
function visible(words) {
  return words.replace(HIDDEN, (found) => [...Array(found.length).keys()].map((at) => `\\u${found.charCodeAt(at).toString(16).padStart(4, "0")}`).join(""));
}

/** Where the parts begin: at ends of lines, where there are some. */
function cut(words) {
  const starts = [0];
  let at = 0;
  while (words.length - at > PART) {
    const end = words.lastIndexOf("\n", at + PART);
    at = end > at + PART / 2 ? end + 1 : at + PART;
    // Not between the halves of one character.
    if (/[\udc00-\udfff]/.test(words[at])) at -= 1;
    starts.push(at);
  }
  return starts;
}
