// The webhook endpoint and its password, and how that one is changed.

import { call, get } from "../api.js";
import { fill, h, unique } from "../dom.js";
import { busyButton } from "../parts/busy.js";
import { copyable } from "../parts/copy.js";
import { ask } from "../parts/dialog.js";
import { field, tick } from "../parts/fields.js";
import { trigger } from "../parts/hooks.js";
import { progress } from "../parts/progress.js";
import { placed } from "../parts/refusals.js";
import { problem } from "../parts/states.js";
import { at, when } from "../parts/time.js";
import { toast } from "../parts/toast.js";
import { count, sentence } from "../parts/words.js";

const DOTS = "•".repeat(24);
const HOURS = { usual: 24, most: 168 };

/** @returns the card, with `focusPassword()` and `previous(until)`, which shows until when the password before counts. */
export function webhookCard(integration, { path, signal }) {
  const password = h("code", { class: "secret" }, DOTS);
  const trouble = h("div");
  const before = h("div", { class: "reserve", role: "status" });
  const rotated = h("div");
  // The one place where it is, while it is shown or copied.
  let secret = null;

  const previous = (until) => {
    if (until === undefined) return fill(before, h("p", { class: "quiet small" }, "Only this password counts."));
    fill(
      before,
      until === null
        ? h("p", { class: "small" }, h("span", { class: "badge", data: { tone: "warn" } }, "two passwords count"), " The one before counts without an end yet: until all service hooks have the new one, and a day longer.")
        : h("p", { class: "small" }, h("span", { class: "badge", data: { tone: "info" } }, "two passwords count"), " The one before ends ", when(until), ", on ", at(until), "."),
    );
  };
  previous(integration.previousPasswordValidUntil);
  const hide = () => {
    secret = null;
    fill(password, DOTS);
  };
  const read = async () => {
    fill(trouble);
    const answer = await get(`${path}/webhook`, {}, signal);
    previous(answer.previousPasswordValidUntil);
    return answer.password;
  };
  const failed = (error) => {
    hide();
    fill(trouble, problem(placed(error)));
  };
  const toggle = h("button", { type: "button", class: "button", aria: { label: "Show the webhook password", pressed: "false" } }, "Show");
  const showing = (is) => {
    // A button that stays pressed keeps its name.
    toggle.setAttribute("aria-pressed", String(is));
    fill(toggle, "Show");
  };
  toggle.addEventListener("click", async () => {
    if (toggle.getAttribute("aria-busy") === "true") return;
    if (secret !== null) {
      hide();
      return showing(false);
    }
    toggle.setAttribute("aria-busy", "true");
    fill(toggle, "Reading …");
    try {
      secret = await read();
      fill(password, secret);
      showing(true);
    } catch (error) {
      showing(false);
      if (error.name !== "AbortError") failed(error);
    } finally {
      toggle.removeAttribute("aria-busy");
    }
  });
  const copy = busyButton("Copy", {
    label: "Copy the webhook password",
    busy: "Copying …",
    kind: "quiet",
    signal,
    failed,
    act: async () => {
      const value = secret ?? (await read());
      try {
        await navigator.clipboard.writeText(value);
        toast("Copied the webhook password.");
      } catch {
        toast("The browser does not let the webhook password be copied: show it, mark it, and copy it by hand.", { tone: "bad" });
      }
    },
  });
  const rotate = h("button", { type: "button", class: "button" }, "Rotate the password");
  rotate.addEventListener("click", async () => {
    const answer = await askRotation(path, integration);
    if (!answer) return;
    hide();
    showing(false);
    previous(answer.previousPasswordValidUntil ?? null);
    fill(rotated, rotation(answer, rotated));
    toast("There is a new webhook password.");
  });

  const forget = () => {
    hide();
    showing(false);
  };
  signal.addEventListener("abort", forget);
  // A page that is kept for going back must not show it again.
  addEventListener("pagehide", forget, { signal });

  const heading = unique("webhook");
  const card = h(
    "section",
    { class: "card", aria: { labelledby: heading } },
    h("div", { class: "toolbar" }, h("h2", { id: heading }, "Webhook"), rotate),
    h(
      "dl",
      { class: "facts" },
      h("dt", {}, "Endpoint"),
      h("dd", {}, copyable("the webhook endpoint", integration.webhookEndpoint)),
      h("dt", {}, "Username"),
      h("dd", { class: "quiet" }, "stays empty"),
      h("dt", {}, "Password"),
      h("dd", {}, h("div", { class: "copyable" }, password, toggle, copy), trouble, before),
    ),
    rotated,
  );
  return Object.assign(card, {
    previous,
    focusPassword() {
      card.scrollIntoView({ block: "center" });
      toggle.focus({ preventScroll: true });
    },
  });
}

/** Asks for how long the password before is to count, and rotates. */
function askRotation(path, { name }) {
  const hours = field("graceHours", "Hours for which the old password still counts", h("input", { type: "number", min: 0, max: HOURS.most, step: 1, value: HOURS.usual, inputmode: "numeric", class: "short" }), {
    hint: `0 to ${HOURS.most}. Put the new one into hooks that were made by hand meanwhile; those that Stackhook made are given it now.`,
  });
  const atOnce = tick("force", "End the old password at once", {
    hint: "Deliveries with it are refused from that moment on: Azure DevOps loses those events, and stops hooks that are refused. This is for a password that others know.",
  });
  const makeRoom = tick("force", "End the oldest password now", {
    hint: "There is room for no other until one ends. Hooks that still have the oldest are refused from that moment on, and their events are lost.",
  });
  const going = progress("The new password begins to count everywhere; then the service hooks are given it.");
  let isFull = false;
  return ask({
    title: `Rotate the webhook password of ${name}`,
    confirm: "Rotate",
    busy: "Rotating …",
    content: ({ ready }) => {
      const warnings = [atOnce, makeRoom].map(({ element }) => h("div", { class: "notice", data: { tone: "warn" } }, element));
      const update = () => {
        const number = Number(hours.value);
        const isOne = hours.value !== "" && Number.isInteger(number) && number >= 0 && number <= HOURS.most;
        const isZero = isOne && number === 0;
        warnings[0].hidden = !isZero;
        warnings[1].hidden = !isFull || isZero;
        if (!isZero) atOnce.box.checked = false;
        hours.clear();
        if (!isOne) hours.refuse(`A whole number of hours from 0 to ${HOURS.most}.`);
        ready(isOne && (!isZero || atOnce.box.checked) && (!isFull || isZero || makeRoom.box.checked));
      };
      hours.control.addEventListener("input", update);
      for (const { box } of [atOnce, makeRoom]) box.addEventListener("change", update);
      hours.update = update;
      update();
      return h("div", { class: "column" }, h("p", {}, "Azure DevOps is given a new password, and none of its deliveries is refused meanwhile."), hours.element, warnings, going);
    },
    act: async () => {
      going.begin();
      try {
        const body = { graceHours: Number(hours.value) };
        if (atOnce.box.checked || makeRoom.box.checked) body.force = true;
        const { password: _hidden, ...answer } = await call("POST", `${path}/webhook/rotation`, { body });
        return answer;
      } finally {
        going.end();
      }
    },
    refused: (error) => {
      placed(error);
      if (error.kind === "too-many-passwords") {
        isFull = true;
        hours.update();
      }
      if (error.field !== "graceHours") return problem(error);
      hours.refuse(error.message);
      hours.focus();
      return null;
    },
  });
}

/** What a rotation did. */
function rotation({ serviceHooks: { updated, failed }, notes = [] }, place) {
  const close = h("button", { type: "button", class: "button", data: { kind: "quiet" }, on: { click: () => fill(place) } }, "Close");
  return h(
    "div",
    { class: "notice", role: "status", data: { tone: failed.length ? "warn" : "good" } },
    h("p", { class: "notice-title" }, `${count(updated, "service hook")} ${updated === 1 ? "has" : "have"} the new password`),
    failed.length > 0 && h("p", {}, `${count(failed.length, "hook")} could not be given it:`),
    failed.length > 0 && h("ul", { class: "plain-list" }, failed.map((one) => h("li", {}, h("strong", {}, `${one.project.name}, ${trigger(one.eventType)}`), `: ${sentence(one.why)}`))),
    notes.map((note) => h("p", {}, sentence(note))),
    h("p", {}, "Hooks that were made by hand have to be given it by hand: ", h("strong", {}, "Show"), " has it."),
    close,
  );
}
