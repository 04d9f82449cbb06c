// Something that is looked at again and again while the page is seen.

/**
 * Calls `look` now and `seconds` after each of its ends, until `signal`; not while the page is hidden. After trouble the pauses double, up to
 * a minute. `look` is given nothing and may throw.
 */
export function poll(look, seconds, signal) {
  let failures = 0;
  let timer;
  let isLooking = false;
  const again = async () => {
    clearTimeout(timer);
    if (signal.aborted || isLooking) return;
    if (!document.hidden) {
      isLooking = true;
      try {
        await look();
        failures = 0;
      } catch (error) {
        if (error.name === "AbortError") return;
        failures += 1;
      } finally {
        isLooking = false;
      }
    }
    if (signal.aborted) return;
    timer = setTimeout(again, 1000 * Math.min(60, seconds * 2 ** failures));
  };
  const seen = () => {
    if (!document.hidden) again();
  };
  document.addEventListener("visibilitychange", seen, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
  again();
}
