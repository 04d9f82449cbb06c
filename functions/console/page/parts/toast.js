// Notifications, bottom right. They are read out, stay while one looks at them, and can be closed.

import { h } from "../dom.js";

const LASTS = 8000;

/** Shows one. `tone`: good, bad, plain. What is bad stays until it is closed. */
export function toast(words, { tone = "good" } = {}) {
  const close = h("button", { type: "button", class: "toast-close", aria: { label: "Close this notification" } }, "×");
  const item = h("div", { class: "toast", role: tone === "bad" ? "alert" : "status", data: { tone } }, h("p", {}, words), close);
  let timer;
  const go = () => item.remove();
  const wait = () => {
    if (tone !== "bad") timer = setTimeout(go, LASTS);
  };
  for (const event of ["pointerenter", "focusin"]) item.addEventListener(event, () => clearTimeout(timer));
  for (const event of ["pointerleave", "focusout"]) item.addEventListener(event, wait);
  close.addEventListener("click", go);
  document.getElementById("toasts").append(item);
  wait();
}
