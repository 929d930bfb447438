// Toasts, dialogs and forms: how the page speaks back.

import { $, h, icon } from "/console/markup.js";
import { Problem } from "/console/requests.js";

const toasts = $("toasts");
const announcer = $("announcer");

/** Toasts and announcements stand in the topmost dialog, since all outside of it is inert while it is open. */
function hostToasts() {
  const parent = dialogsOpen.at(-1) ?? document.body;
  if (toasts.parentNode !== parent) parent.append(toasts, announcer);
  const shown = toasts.matches(":popover-open");
  if (toasts.childElementCount && !shown) toasts.showPopover();
  if (!toasts.childElementCount && shown) toasts.hidePopover();
}

/** Gives a dialog other content. */
export function fill(dialog, ...nodes) {
  dialog.replaceChildren(...nodes);
  hostToasts();
}

/** Dialogs that are open, the topmost last. */
export const dialogsOpen = [];

export function toast(text, { error = false, action = null, stay = false, gone = null } = {}) {
  const line = h("p", null, text);
  const node = h("div", { class: `toast ${error ? "error" : ""}`, test: "toast", role: error ? "alert" : "status" }, line, action,
    h("button", { class: "round", type: "button", "aria-label": "Dismiss", onclick: () => close() }, icon("close")));
  const close = () => {
    if (!node.isConnected) return;
    node.remove();
    hostToasts();
    gone?.();
  };
  toasts.append(node);
  while (toasts.childElementCount > 4) toasts.firstChild.querySelector(".round").click();
  hostToasts();
  if (!stay) setTimeout(close, error ? 9000 : 4500);
  return { close, line };
}

/** Says that a write failed and resolves with whether to try it again; counts down what the server asked to wait. */
export function offerRetry(problem, what) {
  return new Promise((resolve) => {
    let left = problem.wait, timer = 0;
    const again = h("button", { class: "button compact", type: "button", test: "retry" }, "Retry");
    const { close, line } = toast("", { error: true, stay: true, action: again, gone: () => { clearInterval(timer); resolve(false); } });
    const show = () => {
      line.textContent = left > 0 ? `${what} was not sent. ${problem.message} Again in ${left} s.` : `${what} was not sent. ${problem.message}`;
      again.disabled = left > 0;
      if (left-- <= 0) clearInterval(timer);
    };
    again.onclick = () => { resolve(true); close(); };
    timer = setInterval(show, 1000);
    show();
  });
}

export function openDialog(dialog) {
  if (dialog.open) return;
  dialog.showModal();
  dialogsOpen.push(dialog);
  if (toasts.matches(":popover-open")) toasts.hidePopover();
  hostToasts();
}

export function setUpDialogs() {
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("close", () => {
      if (dialog.open) return; // It was opened again before this was told.
      const at = dialogsOpen.indexOf(dialog);
      if (at >= 0) dialogsOpen.splice(at, 1);
      if (toasts.matches(":popover-open")) toasts.hidePopover(); // So that it is shown above what is open now.
      hostToasts();
      if (dialog.hasAttribute("data-filled")) dialog.replaceChildren(); // What is not shown shall not be found.
    });
    dialog.addEventListener("click", (event) => {
      const box = dialog.getBoundingClientRect();
      const outside = event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
      if (event.target.closest("[data-close]") || (event.target === dialog && outside)) dialog.close();
    });
  }
}

export function confirmed(title, text, yes) {
  const dialog = $("confirm-dialog");
  return new Promise((resolve) => {
    let answer = false;
    fill(dialog,
      h("div", { class: "sheet-head" }, h("h2", { id: "confirm-title" }, title)), h("p", { class: "muted" }, text),
      h("div", { class: "row end" },
        h("button", { class: "button quiet", type: "button", test: "confirm-no", "data-close": true }, "Keep it"),
        h("button", { class: "button danger", type: "button", test: "confirm-yes", onclick: () => { answer = true; dialog.close(); } }, yes)));
    dialog.addEventListener("close", () => resolve(answer), { once: true });
    openDialog(dialog);
  });
}

export const announce = (text) => { announcer.textContent = text; };

/** Puts the faults that the server found beside their fields. */
function showFaults(form, problem) {
  clearFaults(form);
  for (const { field, detail } of problem.errors) {
    const input = form.elements[field.split(/[.[]/)[0]];
    if (!(input instanceof HTMLElement)) { toast(`${field}: ${detail}`, { error: true }); continue; }
    input.setAttribute("aria-invalid", "true");
    input.after(h("span", { class: "field-error", role: "alert" }, detail));
  }
  form.querySelector("[aria-invalid]")?.focus();
  if (!problem.errors.length && !problem.told) toast(problem.message, { error: true });
}

function clearFaults(form) {
  form.querySelectorAll(".field-error").forEach((node) => node.remove());
  form.querySelectorAll("[aria-invalid]").forEach((node) => node.removeAttribute("aria-invalid"));
}

/** Sends a form by `work`; its faults are shown in it, and nobody can send it twice at once. */
export function onSubmit(form, work) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("[type=submit]");
    if (button.disabled) return;
    button.disabled = true;
    clearFaults(form);
    try {
      await work(Object.fromEntries(new FormData(form)));
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      showFaults(form, problem);
    } finally {
      button.disabled = false;
    }
  });
}

/** Runs what a click asked for, with the button busy meanwhile; failures become toasts. */
export async function attempt(button, work) {
  if (button?.getAttribute("aria-disabled") === "true") return undefined;
  button?.setAttribute("aria-disabled", "true");
  try {
    return await work();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (!problem.told) toast(problem.message, { error: true });
    return undefined;
  } finally {
    button?.removeAttribute("aria-disabled");
  }
}
