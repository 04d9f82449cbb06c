// What a stack follows, chosen from what the integration's token can see.

import { all, get, part } from "../api.js";
import { combobox } from "./combobox.js";
import { field } from "./fields.js";
import { short } from "./links.js";

// As many as a list shows at once.
const SHOWN = 50;

/** Integration, project, repository, branch: each searches within the one before, and is emptied when that changes. */
export function pickers({ integrations, stack, signal, onchange }) {
  const kept = new Map();
  const once = (key, load) => {
    if (!kept.has(key)) {
      kept.set(key, load());
      kept.get(key).catch(() => kept.delete(key));
    }
    return kept.get(key);
  };
  const at = () => {
    const integration = boxes.integration.picked;
    const project = boxes.project.picked;
    const repository = boxes.repository.picked;
    const base = integration && `setup/integrations/${part(integration.value)}/projects`;
    return { integration, project, repository, base };
  };
  const need = (isThere, what) => {
    if (!isThere) throw new Error(`Choose ${what} first.`);
  };
  const after = { integration: ["project", "repository", "branch"], project: ["repository", "branch"], repository: ["branch"], branch: [] };
  // What somebody wrote ahead, without waiting for the list, stays.
  const empty = (box) => {
    const written = box.picked ? "" : box.input.value;
    box.reset();
    box.input.value = written;
  };
  const picked = (what) => (item) => {
    // A detached stack still says what it followed: the same repository, as a rule, under the integration that is set up anew.
    const keeps = what === "integration" && stack?.detached && item;
    if (!keeps) for (const next of after[what]) empty(boxes[next]);
    if (what === "repository" && item?.defaultBranch && !boxes.branch.input.value) boxes.branch.set({ value: item.defaultBranch, label: short(item.defaultBranch) });
    onchange(what);
    // What was written ahead can be looked for now.
    const next = boxes[after[what][0]];
    if (item && next && !next.picked && next.input !== document.activeElement) next.settle();
  };
  const boxes = {
    integration: combobox({
      what: "integrations",
      required: true,
      onpick: picked("integration"),
      search: async (words) =>
        some(
          integrations.map((one) => ({ value: one.name, label: one.name, hint: one.status === "active" ? one.organization : `${one.organization}, ${one.status === "pending" ? "being set up" : "being unlinked"}`, disabled: one.status !== "active" })),
          words,
        ),
    }),
    project: combobox({
      what: "projects",
      required: true,
      onpick: picked("project"),
      search: async (words) => {
        const { base } = at();
        need(base, "an integration");
        const { items } = await once(base, () => all(base, "projects", { most: 10_000, signal }));
        return some(items.map((one) => ({ value: one.id, label: one.name, hint: one.description })), words);
      },
    }),
    repository: combobox({
      what: "repositories",
      required: true,
      onpick: picked("repository"),
      search: async (words) => {
        const { base, project } = at();
        need(project, "a project");
        const path = `${base}/${part(project.value)}/repositories`;
        const { repositories } = await once(path, () => get(path, {}, signal));
        const item = (one) => ({ value: one.id, label: one.name, defaultBranch: one.defaultBranch, disabled: one.isDisabled, hint: one.isDisabled ? "disabled in Azure DevOps" : one.defaultBranch ? null : "no branches yet" });
        return some(repositories.map(item), words);
      },
    }),
    branch: combobox({
      what: "branches",
      required: true,
      onpick: picked("branch"),
      search: async (words, overtaken) => {
        const { base, project, repository } = at();
        need(repository, "a repository");
        return branches(`${base}/${part(project.value)}/repositories/${part(repository.value)}`, words, overtaken);
      },
    }),
  };
  if (stack) {
    const { integration, project, repository, branch } = stack;
    // The same name may be set up again: it is proposed, and not more.
    const isThere = integrations.some((one) => one.name === integration && one.status === "active");
    if (isThere || !stack.detached) boxes.integration.set({ value: integration, label: integration });
    boxes.project.set({ value: project.id, label: project.name });
    boxes.repository.set({ value: repository.id, label: repository.name });
    boxes.branch.set({ value: branch, label: short(branch) });
  }
  const fields = {
    integration: field("integration", "Integration", boxes.integration, { hint: "The Azure DevOps organization." }),
    project: field("project", "Project", boxes.project, { hint: "Type a part of its name, or look with the arrow keys." }),
    repository: field("repository", "Repository", boxes.repository, { hint: "One that the integration's token can see." }),
    branch: field("branch", "Branch", boxes.branch, { hint: "The tracked one. Type how its name begins." }),
  };
  const value = () => Object.fromEntries(Object.entries(boxes).map(([key, box]) => [key, box.picked ? box.picked.value : box.input.value.trim()]));
  return {
    fields,
    value,
    isWhole: () => Object.values(boxes).every((box) => box.picked),
    settle: async () => {
      for (const box of Object.values(boxes)) await box.settle();
    },
    start: (wanted) => {
      const usable = integrations.filter((one) => one.status === "active");
      const one = usable.find(({ name }) => name === wanted) || (usable.length === 1 && usable[0]);
      if (one) boxes.integration.set({ value: one.name, label: one.name });
      onchange("integration");
    },
  };
}

/** Those whose label has the words in it; first those that begin so. */
function some(items, words) {
  const wanted = words.toLowerCase();
  const found = items.filter(({ label }) => label.toLowerCase().includes(wanted));
  found.sort((a, b) => Number(b.label.toLowerCase().startsWith(wanted)) - Number(a.label.toLowerCase().startsWith(wanted)) || a.label.localeCompare(b.label));
  return found.length > SHOWN ? [...found.slice(0, SHOWN), { label: `${found.length - SHOWN} more: type more of the name`, disabled: true }] : found;
}

/** The branches of a repository (its path in the interface) that begin so. */
export async function branches(path, words, signal) {
  const page = await get(`${path}/branches`, { prefix: short(words), pageSize: SHOWN }, signal);
  const found = page.branches.map((one) => ({ value: one.ref, label: one.name, hint: one.commit.slice(0, 8) }));
  return page.nextPageToken ? [...found, { label: "There are more: type how the name begins", disabled: true }] : found;
}
