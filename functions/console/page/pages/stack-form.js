// The form of a stack: a new one, or one that is there.

import { all, call, get, part } from "../api.js";
import { go } from "../app.js";
import { fill, h } from "../dom.js";
import { choice } from "../parts/choice.js";
import { crumbs } from "../parts/crumbs.js";
import { field, refuse, text, tick } from "../parts/fields.js";
import { short } from "../parts/links.js";
import { pickers } from "../parts/pickers.js";
import { preview } from "../parts/preview.js";
import { noStack, orNone, withoutIntegration } from "../parts/stacks.js";
import { loaded, problem } from "../parts/states.js";
import { toast } from "../parts/toast.js";
import { lines } from "../parts/words.js";

// As many entries as a list shows; who looks for another one goes on typing.
const KINDS = [
  { value: "stack", label: "Stack", hint: "A push to the branch asks for a tracked run, for your executor to apply; a pull request into the branch for a proposed one, to be planned and not applied." },
  { value: "module", label: "Module", hint: "Every commit is tested: a push to any branch asks for a test run, and nothing is applied." },
];

export const title = ({ name }) => (name ? `Edit ${name}` : "New stack");

export function render({ params: { name }, query, signal }) {
  const back = name ? `/stacks/${part(name)}` : "/stacks";
  const load = async () => {
    const [{ items: integrations }, stack] = await Promise.all([all("setup/integrations", "integrations", { signal }), name ? get(`stacks/stacks/${part(name)}`, {}, signal).catch(orNone) : null]);
    return { integrations, stack };
  };
  const draw = ({ integrations, stack }) => {
    if (name && !stack) return noStack(name);
    return integrations.length === 0 ? withoutIntegration() : form({ integrations, stack, query, back, signal });
  };
  return [
    crumbs(["Stacks", "/stacks"], name && [name, back]),
    h("h1", { tabindex: -1 }, name ? `Edit ${name}` : "New stack"),
    loaded(load, draw, { words: "The form is loaded", lines: 12, signal }),
  ];
}

function form({ integrations, stack, query, back, signal }) {
  const pick = pickers({ integrations, stack, signal, onchange: (what) => changed(what) });
  const wasOf = stack && original(stack);
  const kind = choice("kind", "Kind", KINDS, { value: stack?.kind || "stack", onchange: () => changed() });
  const rootNote = h("p", { class: "field-hint maybe", role: "status" });
  const root = field("projectRoot", "Project root", text({ value: stack?.projectRoot || "", placeholder: "prod/network" }), {
    optional: true,
    hint: "The directory that it is about. A change below it asks for a run. Left empty, every change in the repository does.",
  });
  root.element.append(rootNote);
  const globs = field("globs", "Further paths", h("textarea", { rows: 3, spellcheck: "false", value: (stack?.globs || []).join("\n") }), {
    optional: true,
    hint: ["Globs, one a line, from the repository's root: ", h("code", {}, "modules/**"), " for all below a directory, ", h("code", {}, "docs/*.md"), " for the files right in one. What they match asks for a run, too."],
  });
  const forks = tick("allowForks", "Run pull requests from forks", {
    checked: stack?.allowForks,
    hint: "Risk: whoever may fork the repository decides what your executor runs, with the credentials that it has. Leave it off unless the executor keeps them from such code.",
  });
  const drafts = tick("runDrafts", "Run draft pull requests", {
    checked: stack?.runDrafts,
    hint: "A draft asks for a proposed run at each of its pushes. It costs runs for work that is not ready; off, the first run comes when the draft is published.",
  });
  const labels = field("labels", "Labels", h("textarea", { rows: 2, spellcheck: "false", value: (stack?.labels || []).join("\n") }), { optional: true, hint: "Words to find it by, one a line." });
  const name = stack
    ? null
    : field("name", "Name", text({ required: true, maxlength: 95, placeholder: "prod-network" }), {
        hint: ["Lower-case letters, digits and single hyphens. It cannot be changed later: the status on commits and pull requests is called ", h("code", {}, "stackhook/<name>"), "."],
      });
  const move = h("p", { class: "notice", data: { tone: "warn" }, hidden: true }, "With another repository or integration the stack moves: saving cancels the runs that are still open.");
  const place = h("div", { class: "maybe" });
  const save = h("button", { type: "submit", class: "button", data: { kind: "primary" } }, stack ? "Save changes" : "Create stack");
  const fields = [...Object.values(pick.fields), kind, root, globs, labels, ...(name ? [name] : []), boxField("allowForks", forks), boxField("runDrafts", drafts)];
  const seen = preview({
    signal,
    onrefusal: (error) => {
      const one = fields.find((it) => it.name === error.field);
      one?.refuse(error.message);
      return Boolean(one);
    },
    onnotes: (notes) => fill(rootNote, notes.join("; ")),
  });

  const body = () => ({
    ...pick.value(),
    kind: kind.value,
    projectRoot: root.value.trim().replace(/^\/|\/$/g, ""),
    globs: lines(globs.value),
    allowForks: forks.box.checked,
    runDrafts: drafts.box.checked,
    labels: lines(labels.value),
  });
  const look = () => {
    const { labels: _labels, ...rest } = body();
    seen.show(pick.isWhole() ? rest : null);
  };
  function changed(what) {
    const one = fields.find((it) => it.name === what);
    one?.clear();
    if (name && (what === "repository" || what === "projectRoot")) propose();
    if (stack) {
      const { integration, repository } = pick.value();
      move.hidden = stack.detached || !integration || !repository || (integration === stack.integration && repository === stack.repository.id);
    }
    look();
  }

  // A name that is proposed follows the repository and the root, until somebody writes another one.
  let proposed = "";
  let taken = new Set();
  function propose() {
    if (name.value !== proposed) return;
    const repository = pick.fields.repository.control.picked;
    proposed = repository ? free(slug([repository.label, root.value].join("-")), taken) : "";
    name.control.value = proposed;
    name.clear();
  }
  if (name) {
    all("stacks/stacks", "stacks", { signal }).then(
      ({ items }) => {
        taken = new Set(items.map((it) => it.name));
        propose();
      },
      // A name that is taken is refused at its field, then.
      () => {},
    );
  }

  const element = h(
    "form",
    { class: "card", novalidate: true, aria: { label: stack ? "Stack" : "New stack" } },
    place,
    stack?.detached && h("p", { class: "notice", data: { tone: "warn" } }, "This stack is detached: its integration was unlinked. Choose the integration that it is to follow its repository by, and save: it is attached again."),
    h("div", { class: "halves" }, pick.fields.integration.element, pick.fields.project.element, pick.fields.repository.element, pick.fields.branch.element),
    move,
    kind.element,
    h("div", { class: "halves" }, root.element, globs.element),
    h("fieldset", { class: "column" }, h("legend", {}, "Pull requests"), forks.element, drafts.element),
    h("div", { class: "halves" }, name && name.element, labels.element),
    h("div", { class: "row" }, save, h("a", { class: "button", href: back }, "Cancel"), seen.summary),
  );
  element.addEventListener("input", (event) => {
    const what = event.target.closest("[data-field]")?.dataset.field;
    if (pick.fields[what]) pick.fields[what].clear();
    else changed(what);
  });
  let isSaving = false;
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (isSaving) return;
    const words = save.textContent;
    // Not disabled, which would take the focus away.
    isSaving = true;
    save.setAttribute("aria-disabled", "true");
    fill(save, stack ? "Saving …" : "Creating …");
    try {
      await pick.settle();
      for (const one of fields) one.clear();
      fill(place);
      const missing = fields.find((one) => (pick.fields[one.name] || one === name) && !one.value.trim());
      if (missing) {
        missing.refuse(missing === name ? "Give it a name." : "Choose one.");
        missing.focus();
        return;
      }
      const saved = stack ? await change() : await call("POST", "stacks/stacks", { body: { ...body(), name: name.value.trim() }, signal });
      if (!saved || signal.aborted) return;
      toast(stack ? `Stack ${saved.name} was changed.` : `Stack ${saved.name} was created.`);
      for (const note of saved.notes || []) toast(`${note}.`, { tone: "plain" });
      await go(`/stacks/${part(saved.name)}`);
    } catch (error) {
      if (error.name === "AbortError" || signal.aborted) return;
      if (error.kind === "changed-since") await conflict(error);
      else refuse(error, fields, place, problem);
    } finally {
      isSaving = false;
      save.removeAttribute("aria-disabled");
      fill(save, words);
    }
  });

  async function change() {
    const now = body();
    const changes = Object.fromEntries(Object.entries(now).filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(wasOf[key])));
    if (stack.detached) changes.integration = now.integration;
    if (Object.keys(changes).length === 0) {
      fill(place, h("p", { class: "notice", role: "status", data: { tone: "info" } }, "Nothing is changed yet, so there is nothing to save."));
      place.scrollIntoView({ block: "nearest" });
      return null;
    }
    for (const key of ["projectRoot", "globs", "labels"]) if (changes[key]?.length === 0) changes[key] = null;
    return call("PATCH", `stacks/stacks/${part(stack.name)}`, { body: { ...changes, updatedAt: stack.updatedAt }, signal });
  }

  // What somebody else has saved meanwhile is said, and only taken over when asked for.
  async function conflict(error) {
    const now = await get(`stacks/stacks/${part(stack.name)}`, {}, signal).catch(() => null);
    const other = now && original(now);
    const differs = other && Object.keys(other).filter((key) => JSON.stringify(other[key]) !== JSON.stringify(wasOf[key]));
    const again = h("button", { type: "button", class: "button", on: { click: () => go(location.pathname, { replace: true }) } }, "Load it anew");
    fill(
      place,
      h(
        "div",
        { class: "notice", role: "alert", data: { tone: "warn" } },
        h("p", { class: "notice-title" }, "Somebody has changed this stack since you opened it"),
        h("p", {}, now ? "Nothing of yours was saved. What you typed stays here until you load the stack anew; then make your change again." : error.message),
        differs?.length > 0 && h("p", {}, "It is different by now in: ", differs.map((key) => `${NAMES[key]} (${shown(now, key)})`).join(", "), "."),
        again,
      ),
    );
    again.focus();
  }

  if (stack) look();
  else pick.start(query.integration);
  return [element, seen.element];
}

const NAMES = {
  integration: "integration",
  project: "project",
  repository: "repository",
  branch: "branch",
  kind: "kind",
  projectRoot: "project root",
  globs: "further paths",
  allowForks: "pull requests from forks",
  runDrafts: "draft pull requests",
  labels: "labels",
};

function shown(stack, key) {
  const value = stack[key];
  if (key === "branch") return short(value);
  if (typeof value === "boolean") return value ? "run" : "not run";
  if (Array.isArray(value)) return value.join(", ") || "none";
  return (typeof value === "object" ? value.name : value) || "the repository's root";
}

/** What a stack follows, as the form would send it. */
function original({ integration, project, repository, branch, kind, projectRoot, globs, allowForks, runDrafts, labels }) {
  return { integration, project: project.id, repository: repository.id, branch, kind, projectRoot, globs, allowForks, runDrafts, labels };
}

/** A tick as something that a refusal can be shown at. */
function boxField(name, { box, element }) {
  const error = h("p", { class: "field-error" });
  element.lastElementChild.append(error);
  return { name, value: "", refuse: (words) => fill(error, words), clear: () => fill(error), focus: () => box.focus() };
}

/** A text as a name: what the rules of names leave of it. */
function slug(words) {
  const plain = words
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-");
  return plain.replace(/^-+/, "").slice(0, 40).replace(/-+$/, "");
}

function free(name, taken) {
  if (!name || !taken.has(name)) return name;
  let count = 2;
  while (taken.has(`${name}-${count}`)) count += 1;
  return `${name}-${count}`;
}
