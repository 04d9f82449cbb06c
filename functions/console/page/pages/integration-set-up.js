// The form that links an organization.

import { call, part } from "../api.js";
import { go } from "../app.js";
import { fill, h, unique } from "../dom.js";
import { crumbs } from "../parts/crumbs.js";
import { field, refuse, text } from "../parts/fields.js";
import { hand } from "../parts/handover.js";
import { tokenHint } from "../parts/organization.js";
import { progress } from "../parts/progress.js";
import { problem } from "../parts/states.js";
import { toast } from "../parts/toast.js";
import { placed } from "../parts/refusals.js";
import { lines } from "../parts/words.js";

export const title = "Set up an integration";

const LONGEST_NAME = 48;
const MOST_PROJECTS = 200;

export function render({ signal }) {
  const where = tokenHint();
  const name = field("name", "Name", text({ autocapitalize: "none", maxlength: 2 * LONGEST_NAME }), {
    hint: ["Up to 48 lower-case letters and digits, with single hyphens between them, such as ", h("code", {}, "acme-platform"), ". It is the end of the webhook endpoint, and never changes."],
  });
  const url = field("organizationUrl", "Organization URL", text({ inputmode: "url", autocapitalize: "none" }), {
    hint: h(
      "div",
      {},
      h("p", {}, "The main URL of your organization in Azure DevOps, in either form:"),
      h(
        "ul",
        { class: "plain-list" },
        h("li", {}, h("code", {}, "https://dev.azure.com/my-organization"), ", as most have it"),
        h("li", {}, h("code", {}, "https://my-organization.visualstudio.com"), ", as organizations had it that were made before September 2018"),
      ),
    ),
  });
  url.control.addEventListener("input", () => where.of(url.value));
  const token = field("personalAccessToken", "Personal access token", h("input", { type: "password", autocomplete: "off", spellcheck: "false" }), { hint: where });
  const expires = field("personalAccessTokenExpiresOn", "The token’s expiry date", h("input", { type: "date", min: new Date().toISOString().slice(0, 10), class: "short" }), {
    optional: true,
    hint: "As the page of the token says. Stackhook cannot read it, and warns thirty days before.",
  });
  const projects = projectsChoice();
  const description = field("description", "Description", h("textarea", { maxlength: 1000, rows: 2 }), { optional: true });
  const labels = field("labels", "Labels", h("textarea", { rows: 2, spellcheck: "false" }), { optional: true, hint: "Words to find it by, one a line." });
  const fields = [name, url, token, expires, projects.field, description, labels];

  const trouble = h("div");
  const going = progress("Azure DevOps is asked whether the token works. Then the token is kept, a webhook password is made, and so are the service hooks.");
  const save = h("button", { type: "submit", class: "button", data: { kind: "primary" } }, "Save");
  const cancel = h("a", { class: "button", href: "/integrations" }, "Cancel");
  let isSaving = false;
  const saving = (is) => {
    isSaving = is;
    save.disabled = is;
    fill(save, is ? "Saving …" : "Save");
    going[is ? "begin" : "end"]();
    if (!is) return;
    going.focus({ preventScroll: true });
    going.scrollIntoView({ block: "nearest" });
  };

  const form = h(
    "form",
    { class: "card form", novalidate: true, autocomplete: "off" },
    trouble,
    name.element,
    url.element,
    token.element,
    expires.element,
    projects.element,
    description.element,
    labels.element,
    h("div", { class: "row" }, save, cancel),
    going,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (isSaving) return;
    for (const one of fields) one.clear();
    fill(trouble);
    const missing = checked({ name, url, token, projects });
    if (missing) return missing.focus();
    const body = {
      name: name.value.trim(),
      organizationUrl: url.value,
      personalAccessToken: token.value,
      personalAccessTokenExpiresOn: expires.value || undefined,
      description: description.value.trim() || undefined,
      labels: lines(labels.value),
      serviceHookProjects: projects.value,
    };
    saving(true);
    try {
      // Not ended with the page: what was begun is done, whether somebody looks or not.
      const { name: made, notifications, serviceHooks } = await call("POST", "setup/integrations", { body });
      token.control.value = "";
      for (const words of notifications) toast(words);
      if (serviceHooks) hand(`set-up ${made}`, serviceHooks);
      if (!signal.aborted) await go(`/integrations/${part(made)}`, { replace: true });
    } catch (error) {
      saving(false);
      if (signal.aborted) return toast(`${body.name} was not set up: ${error.message}`, { tone: "bad" });
      refuse(placed(error), fields, trouble, (it) => refusal(it, body.name));
      if (error.kind === "name-taken") name.refuse([error.message, " ", h("a", { href: `/integrations/${part(body.name)}` }, `Look at ${body.name}`), "."]);
    } finally {
      body.personalAccessToken = "";
    }
  });
  const leaving = (event) => isSaving && event.preventDefault();
  addEventListener("beforeunload", leaving, { signal });
  // It is not kept for those who come back, either.
  const forget = () => {
    token.control.value = "";
  };
  signal.addEventListener("abort", forget);
  addEventListener("pagehide", forget, { signal });
  return [
    crumbs(["Integrations", "/integrations"], "Set up"),
    h("h1", { tabindex: -1 }, "Set up an integration"),
    h("p", { class: "quiet" }, "It links one Azure DevOps organization. Nothing is stored unless the token works."),
    form,
  ];
}

/** What can be told without asking anybody: the first field that is not filled in as it has to be. */
function checked({ name, url, token, projects }) {
  const wrong = [];
  const say = (one, words) => {
    one.refuse(words);
    wrong.push(one);
  };
  const text = name.value.trim();
  if (!/^[a-z0-9](-?[a-z0-9])*$/.test(text) || text.replaceAll("-", "").length > LONGEST_NAME) {
    say(name, text ? "A name has 1 to 48 lower-case letters and digits, with single hyphens between them, such as acme-platform." : "Give it a name.");
  }
  if (!url.value.trim()) say(url, "Paste the organization URL from your browser.");
  if (!token.value.trim()) say(token, "Paste the personal access token.");
  const chosen = projects.value;
  if (Array.isArray(chosen) && chosen.length === 0) say(projects.field, "Name the projects, or choose one of the others above.");
  if (Array.isArray(chosen) && chosen.length > MOST_PROJECTS) say(projects.field, `Name at most ${MOST_PROJECTS}: the others can be made on the integration’s page.`);
  return wrong[0];
}

/** A refusal that is about no field. Where nobody knows how it went, it says where to look. */
function refusal(error, name) {
  const shown = problem(error);
  if (error.status === 0 || error.status >= 500 || error.kind === "in-progress") {
    shown.append(h("p", {}, "Perhaps it was set up all the same: ", h("a", { href: `/integrations/${part(name)}` }, `look at ${name}`), " before you save once more."));
  }
  return shown;
}

/** Whose service hooks are made: `value` is names, "all", or nothing. */
function projectsChoice() {
  const group = unique("projects");
  const names = field("serviceHookProjects", "Names of the projects", h("textarea", { rows: 3, spellcheck: "false" }), { hint: "One on each line, or with commas between them." });
  const choice = (value, label, hint, isChosen) => {
    const id = unique("choice");
    const input = h("input", { type: "radio", id, name: group, value, checked: isChosen, aria: { describedby: `${id}-hint` } });
    input.addEventListener("change", () => {
      names.control.disabled = value !== "named";
      names.clear();
    });
    return { input, element: h("div", { class: "tick" }, input, h("div", {}, h("label", { for: id }, label), h("p", { class: "field-hint", id: `${id}-hint` }, hint))) };
  };
  const named = choice("named", "Of these projects", "Each gets five service hooks, for pushes and pull requests.", true);
  const every = choice("all", "Of all projects", "All that the token’s user sees.", false);
  const none = choice("none", "None now", "They can be made at any time, on the integration’s page.", false);
  const element = h("fieldset", { class: "column" }, h("legend", {}, "Make the service hooks"), every.element, none.element, named.element, names.element);
  return {
    element,
    field: names,
    get value() {
      if (every.input.checked) return "all";
      if (none.input.checked) return undefined;
      return lines(names.value.replaceAll(",", "\n"));
    },
  };
}
