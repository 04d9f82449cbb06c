// The frame around the pages: which path shows which, what is current, and where the focus goes.

import { codeInAddress, get, gone, open } from "./api.js";
import { fill, h } from "./dom.js";
import { loading, problem } from "./parts/states.js";
import { toast } from "./parts/toast.js";

// Each module has `title` (words, or a function of the parameters) and `render({params, query, signal, refresh})`, which gives a node
// at once and fills it as answers come. `signal` ends with the page. What comes first fits first.
const ROUTES = [
  ["/", () => import("./pages/home.js")],
  ["/integrations", () => import("./pages/integrations.js")],
  ["/integrations/-/set-up", () => import("./pages/integration-set-up.js")],
  ["/integrations/:name", () => import("./pages/integration.js")],
  ["/stacks", () => import("./pages/stacks.js")],
  ["/stacks/-/new", () => import("./pages/stack-form.js")],
  ["/stacks/:name", () => import("./pages/stack.js")],
  ["/stacks/:name/edit", () => import("./pages/stack-form.js")],
  ["/runs/:id", () => import("./pages/run.js")],
  ["/deliveries", () => import("./pages/deliveries.js")],
  ["/deliveries/:id", () => import("./pages/delivery.js")],
];

const content = document.getElementById("content");
let ended = new AbortController();

/** Goes to a page of the console. `replace` leaves no entry in the history. */
export function go(path, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", path);
  return show();
}

/** Changes the query of the page that is shown, without showing it anew. */
export function setQuery(query) {
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value));
  history.replaceState(null, "", location.pathname + (search.size ? `?${search}` : ""));
}

/** Says something to those who hear the page. */
export function announce(words) {
  document.getElementById("announce").textContent = words;
}

async function show({ focus = true } = {}) {
  // Not what is drawn anew: questions of a page that is left end with it.
  if (focus) dispatchEvent(new Event("page-left"));
  ended.abort();
  ended = new AbortController();
  const { signal } = ended;
  const found = match(location.pathname);
  mark(location.pathname.split("/")[1] || "");
  const late = setTimeout(() => fill(content, loading("The page is loaded")), 150);
  let page;
  try {
    page = found && (await found.load());
  } catch {
    clearTimeout(late);
    // A module of the console's own that does not come.
    if (!signal.aborted) fill(content, h("h1", { tabindex: -1 }, "The page did not come"), problem(gone(), { again: () => location.reload() }));
    return;
  }
  clearTimeout(late);
  if (signal.aborted) return;
  if (!page) {
    setTitle("No such page");
    fill(content, h("h1", {}, "There is no such page"), h("p", {}, "Perhaps it was moved, or the address has a typo. ", h("a", { href: "/" }, "Home"), " shows what there is."));
  } else {
    const { params } = found;
    setTitle(typeof page.title === "function" ? page.title(params) : page.title);
    fill(content, page.render({ params, query: Object.fromEntries(new URLSearchParams(location.search)), signal, refresh: () => show({ focus: false }) }));
  }
  if (focus) {
    scrollTo(0, 0);
    (content.querySelector("h1") || content).focus?.({ preventScroll: true });
  }
}

function match(path) {
  const parts = path.replace(/(.)\/$/, "$1").split("/");
  for (const [pattern, load] of ROUTES) {
    const wanted = pattern.split("/");
    if (wanted.length !== parts.length) continue;
    const params = {};
    const fits = wanted.every((part, at) => {
      if (!part.startsWith(":")) return part === parts[at];
      params[part.slice(1)] = decoded(parts[at]);
      return parts[at] !== "";
    });
    if (fits) return { load, params };
  }
  return null;
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function setTitle(words) {
  document.title = words === "Home" ? "Stackhook" : `${words} · Stackhook`;
  announce(words);
}

function mark(section) {
  const shown = section === "runs" ? "stacks" : section;
  for (const link of document.querySelectorAll("[data-section]")) {
    if (link.dataset.section === shown) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function setUpTheme() {
  const button = document.getElementById("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const current = () => document.documentElement.dataset.theme || (dark.matches ? "dark" : "light");
  const label = () => fill(button, current() === "dark" ? "Light theme" : "Dark theme");
  button.addEventListener("click", () => {
    const next = current() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem("theme", next);
    } catch {
      // It lasts as long as the page, then.
    }
    label();
  });
  dark.addEventListener("change", label);
  label();
}

function closed(why) {
  setTitle("Open the link");
  fill(
    content,
    h("h1", { tabindex: -1 }, "Open the link from the terminal"),
    why && h("p", { class: "notice", data: { tone: "warn" } }, why),
    h("p", {}, "The console shows this page to whoever has opened the link that it printed when it started. Each link works once, and a new one is printed when it was used."),
    h("p", {}, "Is there no console any more? ", h("code", {}, "make run"), " starts one with a local stack, ", h("code", {}, "make console"), " one for what is deployed."),
  );
}

async function begin() {
  setUpTheme();
  // A fragment in the address would count as another page when one goes back.
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    content.focus();
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href^='/']");
    const isPlain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!link || !isPlain || link.target || event.defaultPrevented) return;
    event.preventDefault();
    go(link.getAttribute("href"));
  });
  // A link that is opened in a tab of the console changes nothing but the fragment, which loads nothing.
  addEventListener("popstate", () => (codeInAddress() ? location.reload() : show()));
  addEventListener("session-lost", () => {
    ended.abort();
    closed("The console was started anew, or this page is of another one.");
  });
  try {
    if (!(await open())) return closed();
  } catch (error) {
    return closed(error.message);
  }
  await show({ focus: false });
  try {
    const { environment, region } = await get("console");
    fill(document.getElementById("where"), [environment, region].filter(Boolean).join(" · "));
  } catch (error) {
    toast(error.message, { tone: "bad" });
  }
}

begin();
