// What a person does in Azure DevOps where Stackhook may not: the `manualSteps` of a refusal.

import { h } from "../dom.js";
import { copyable } from "./copy.js";
import { table } from "./table.js";

/**
 * @param steps `{endpoint, subscriptions, steps}`.
 * @param password a node that shows the webhook password, or says where it is.
 * @param project whose hooks they are, for those who hear the page.
 */
export function manualSteps(steps, { password, project }) {
  return h(
    "details",
    { class: "details" },
    h("summary", {}, "Make them by hand"),
    h(
      "div",
      { class: "column" },
      h("ol", { class: "steps" }, (steps.steps || []).map((step) => h("li", {}, step))),
      h(
        "dl",
        { class: "facts" },
        h("dt", {}, "Webhook endpoint"),
        h("dd", {}, copyable("the webhook endpoint", steps.endpoint)),
        h("dt", {}, "Username"),
        h("dd", {}, "stays empty"),
        h("dt", {}, "Webhook password"),
        h("dd", {}, password),
      ),
      table(
        `Subscriptions to make for ${project}`,
        ["Subscription", "Event type", "Resource version"],
        (steps.subscriptions || []).map((one) => [one.trigger, h("code", {}, one.eventType), h("span", { class: "number" }, one.resourceVersion)]),
      ),
      h("p", { class: "quiet small" }, "Hooks made by hand are as good. Once the permission is there, making the hooks here takes them over."),
    ),
  );
}
