// Questions that change an integration: a new token, and what else a person has filled in.

import { call, get } from "../api.js";
import { fill, h } from "../dom.js";
import { ask } from "../parts/dialog.js";
import { field, refuse } from "../parts/fields.js";
import { tokenHint } from "../parts/organization.js";
import { progress } from "../parts/progress.js";
import { placed } from "../parts/refusals.js";
import { problem } from "../parts/states.js";
import { lines } from "../parts/words.js";

const today = () => new Date().toISOString().slice(0, 10);

/** Asks for a new personal access token. Gives the integration as it is then, or `null`. */
export async function replaceToken(path, integration) {
  const hint = tokenHint();
  hint.of(integration.organizationUrl);
  const token = field("personalAccessToken", "New personal access token", h("input", { type: "password", autocomplete: "off", spellcheck: "false" }), { hint });
  const expires = expiryField("", "That of the old token is forgotten.");
  const changed = await change(path, integration, {
    title: "Replace the token",
    intro: "The new token has to work before it takes the place of the old one. Deliveries that wait for a token that works go on then.",
    fields: [token, expires],
    confirm: "Replace",
    busy: "Replacing …",
    going: progress("Azure DevOps is asked whether the token works; then it takes the place of the old one.", { usual: 30 }),
    body: () => ({ personalAccessToken: token.value, personalAccessTokenExpiresOn: expires.value || null }),
    wrong: () => token.value.trim() === "" && [token, "Paste the personal access token."],
  });
  token.control.value = "";
  return changed;
}

/** Asks for description, labels and the token's last day. */
export function editDetails(path, integration) {
  const description = field("description", "Description", h("textarea", { maxlength: 1000, rows: 3, value: integration.description || "" }), { optional: true });
  const labels = field("labels", "Labels", h("textarea", { rows: 2, spellcheck: "false", value: (integration.labels || []).join("\n") }), { optional: true, hint: "Words to find it by, one a line." });
  const expires = expiryField(integration.personalAccessTokenExpiresOn || "", "Where the token was given more time in Azure DevOps.");
  return change(path, integration, {
    title: "Edit details",
    fields: [description, labels, expires],
    confirm: "Save",
    busy: "Saving …",
    going: progress("The integration is changed.", { usual: 10 }),
    body: () => ({
      description: description.value.trim() || null,
      labels: lines(labels.value),
      // A day that has passed is refused, though it may stand: it is sent only where it was changed.
      ...(expires.value === (integration.personalAccessTokenExpiresOn || "") ? {} : { personalAccessTokenExpiresOn: expires.value || null }),
    }),
  });
}

function expiryField(value, hint) {
  return field("personalAccessTokenExpiresOn", "The token’s expiry date", h("input", { type: "date", min: value && value < today() ? null : today(), class: "short", value }), { optional: true, hint });
}

function change(path, integration, { title, intro, fields, confirm, busy, going, body, wrong }) {
  let { updatedAt } = integration;
  const trouble = h("div");
  return ask({
    title,
    content: h("div", { class: "column" }, intro && h("p", {}, intro), fields.map((one) => one.element), trouble, going),
    confirm,
    busy,
    act: async () => {
      for (const one of fields) one.clear();
      fill(trouble);
      const refused = wrong?.();
      if (refused) throw Object.assign(new Error(refused[1]), { field: refused[0].name });
      going.begin();
      try {
        return await call("PATCH", path, { body: { ...body(), updatedAt } });
      } catch (error) {
        if (error.kind === "changed-since") error.now = await get(path).catch(() => null);
        throw error;
      } finally {
        going.end();
      }
    },
    refused: (error) => {
      if (error.kind !== "changed-since" || !error.now) {
        refuse(placed(error), fields, trouble, problem);
        return null;
      }
      // What was read now is what the next try is about.
      updatedAt = error.now.updatedAt;
      return since(error.now, confirm);
    },
  });
}

/** Somebody else has changed it meanwhile: what it is now. */
function since(now, confirm) {
  return h(
    "div",
    { class: "notice", role: "alert", data: { tone: "warn" } },
    h("p", { class: "notice-title" }, "Somebody has changed this integration since you read it"),
    h("p", {}, "Nothing of yours was saved. It is now:"),
    h(
      "dl",
      { class: "facts" },
      h("dt", {}, "Token’s expiry date"),
      h("dd", {}, now.personalAccessTokenExpiresOn || "not known"),
      h("dt", {}, "Description"),
      h("dd", {}, now.description || "none"),
      h("dt", {}, "Labels"),
      h("dd", {}, now.labels?.join(", ") || "none"),
    ),
    h("p", {}, h("strong", {}, confirm), " puts what stands above in its place; ", h("strong", {}, "Cancel"), " leaves it as it is."),
  );
}
