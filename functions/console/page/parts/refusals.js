// Where a refusal of an integration's fields belongs, and in which words.

import { sentence } from "./words.js";

const FIELDS = {
  "token-refused": "personalAccessToken",
  "token-lacks-scope": "personalAccessToken",
  "organization-not-found": "organizationUrl",
  "not-an-organization-url": "organizationUrl",
  "name-taken": "name",
};

/** The refusal, with its field where only its kind tells it, and as a sentence. */
export function placed(error) {
  error.field ??= FIELDS[error.kind];
  error.message = sentence(error.message);
  return error;
}
