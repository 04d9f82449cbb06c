// Small things of language.

/** Words as a sentence: what refusals say begins small and has no full stop, since other programs put it into sentences of theirs. */
export function sentence(words) {
  const text = String(words ?? "").trim();
  if (!text) return "";
  const begun = /^[a-z]/.test(text) && !/^[a-z]+[A-Z]/.test(text) ? text[0].toUpperCase() + text.slice(1) : text;
  return /[.!?…:]["”)]?$/.test(begun) ? begun : `${begun}.`;
}

/** A number with its noun: `count(1, "hook")` is "1 hook". */
export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/** What is written one a line. */
export function lines(text) {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
}

/** Names as one reads them: "a, b and c". */
export function listed(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
