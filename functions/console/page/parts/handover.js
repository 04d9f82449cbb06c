// What one page tells the next, once. In memory alone: it is gone with the tab, and never holds a secret.

const kept = new Map();

/** Keeps something for the page that asks for it by `key`. */
export function hand(key, value) {
  kept.set(key, value);
}

/** Takes it, so that nobody is told twice. */
export function take(key) {
  const value = kept.get(key);
  kept.delete(key);
  return value;
}
