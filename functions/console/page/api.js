// Calls of the functions, through the console that served this page. It signs them; nothing here knows a key.

// In localStorage, so that a second tab needs no second link; it is of this origin, port and all, and worth nothing once the console ends.
const KEPT = "stackhook-session";

/** Why a call was refused, or has no answer: the members of an RFC 9457 problem. `kind` is the last part of its type. */
export class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `The answer was ${status}.`);
    this.status = status;
    this.problem = problem;
    this.kind = String(problem.type || "").split(":").pop() || "unknown";
    this.title = problem.title || "It was refused";
    this.field = problem.field;
    this.requestId = problem.requestId;
  }
}

/** What is said where the console itself gives no answer. */
export function gone() {
  return new Refusal(0, { type: "gone", title: "The console does not answer", detail: "Is it still running in its terminal? Start it again, and open the link that it prints." });
}

/** The code of a link, where the page's address has one. */
export function codeInAddress() {
  return /^#([\w-]{43})$/.exec(location.hash)?.[1] ?? null;
}

/**
 * Trades the code in the page's address for a session, and takes it out of the address and of the history.
 * @returns whether there is a session; `false` where a link has to be opened first.
 */
export async function open() {
  const code = codeInAddress();
  if (code) {
    history.replaceState(null, "", location.pathname + location.search);
    try {
      const answer = await answered(fetch("/session", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ code }) }));
      localStorage.setItem(KEPT, answer.token);
    } catch (error) {
      // Whoever has opened it before has a session by it.
      if (error.kind !== "link-used" || !token()) throw error;
    }
  }
  return Boolean(token());
}

/** Forgets the session, which the console does not know any more. */
export function close() {
  localStorage.removeItem(KEPT);
}

/**
 * Calls `/api/<path>`, such as `setup/integrations`. A part of it that is dots is refused: a browser would take it for the folder above,
 * and call something else. `query` is an object; what of it is empty is left out.
 * @throws {Refusal} and, where `signal` was used, an AbortError.
 */
export async function call(method, path, { body, query, signal } = {}) {
  if (/(^|\/)\.\.?(\/|$)/.test(path)) throw new Refusal(0, { type: "dots", title: "This cannot be asked for", detail: "A name or an id that is dots and nothing else is no part of an address." });
  const search = new URLSearchParams(Object.entries(query || {}).filter(([, value]) => value !== undefined && value !== null && value !== ""));
  // A space as %20: signers and those who check signatures do not agree on what a plus is.
  const address = `/api/${path}${search.size ? `?${String(search).replaceAll("+", "%20")}` : ""}`;
  const headers = { "x-stackhook-console": token() || "" };
  if (body !== undefined) headers["content-type"] = "application/json";
  const text = body === undefined ? undefined : JSON.stringify(body);
  return answered(fetch(address, { method, headers, body: text, signal, redirect: "error" }));
}

/** Shorthands. A part of a path that is a name is made safe by `part`. */
export const get = (path, query, signal) => call("GET", path, { query, signal });
export const part = encodeURIComponent;

/** All pages of a list, up to `most` items: `{items, more}`. */
export async function all(path, member, { query = {}, most = 1000, signal } = {}) {
  const items = [];
  let pageToken;
  do {
    const page = await get(path, { pageSize: 100, ...query, pageToken }, signal);
    items.push(...page[member]);
    pageToken = page.nextPageToken;
  } while (pageToken && items.length < most);
  return { items, more: Boolean(pageToken) };
}

function token() {
  return localStorage.getItem(KEPT);
}

async function answered(request) {
  let response;
  try {
    response = await request;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw gone();
  }
  const text = await response.text();
  let body = {};
  try {
    body = text ? JSON.parse(text) : {};
  } catch {
    throw new Refusal(response.status, { title: "The answer cannot be read", detail: `A function answered ${response.status} with something that is not JSON.` });
  }
  if (response.ok) return body;
  const refusal = new Refusal(response.status, body);
  if (refusal.kind === "no-session") {
    close();
    dispatchEvent(new Event("session-lost"));
  }
  throw refusal;
}
