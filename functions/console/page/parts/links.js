// Where Azure DevOps shows what is meant. The addresses are made of names that came from there, so each part is encoded; who shows one
// shows it by `external()`.

import { get, part } from "../api.js";
import { external } from "../dom.js";

const HEADS = "refs/heads/";

/** A repository: of the organization's URL and of something that has `project` and `repository`, as stacks and runs have. */
export function repositoryUrl(organizationUrl, { project, repository }) {
  if (!organizationUrl) return null;
  return `${organizationUrl.replace(/\/+$/, "")}/${part(project.name)}/_git/${part(repository.name)}`;
}

/** A branch, by its name or its ref. */
export function branchUrl(organizationUrl, place, branch) {
  const url = repositoryUrl(organizationUrl, place);
  return url && `${url}?version=GB${part(short(branch))}`;
}

/** A commit. */
export function commitUrl(organizationUrl, place, commit) {
  const url = repositoryUrl(organizationUrl, place);
  return url && `${url}/commit/${part(commit)}`;
}

/** A pull request, by its number. */
export function pullRequestUrl(organizationUrl, place, number) {
  const url = repositoryUrl(organizationUrl, place);
  return url && `${url}/pullrequest/${part(number)}`;
}

/** A commit as people know it, with a link to it. */
export function commitLink(organizationUrl, place, commit) {
  return external(commitUrl(organizationUrl, place, commit), String(commit).slice(0, 8));
}

/** A branch by the name that people know it by. */
export function short(ref) {
  return ref.startsWith(HEADS) ? ref.slice(HEADS.length) : ref;
}

/** The organization's URL of an integration; null where it is not there any more, so that nothing can be linked to. */
export async function organizationUrl(integration, signal) {
  try {
    return (await get(`setup/integrations/${part(integration)}`, {}, signal)).organizationUrl;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return null;
  }
}
