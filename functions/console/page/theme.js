// The theme that was chosen, before anything is drawn: a classic script, since modules come after the first paint.
// Without a choice the system's own counts (`color-scheme` and `prefers-color-scheme` in style.css).
{
  let chosen = null;
  try {
    chosen = localStorage.getItem("theme");
  } catch {
    // Storage that is off: the system's theme it is.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
