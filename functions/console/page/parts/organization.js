// An organization of Azure DevOps, as far as the page has to know of it: where its tokens are made. Whether a URL is one is decided by `setup`.

import { external, fill, h } from "../dom.js";

const HOW_TO = "https://learn.microsoft.com/azure/devops/organizations/accounts/use-personal-access-tokens-to-authenticate";

const NAME = "([a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?)";
const FORMS = [new RegExp(`^https://(?:[^@/?#]*@)?dev\\.azure\\.com/${NAME}(?:[/?#]|$)`, "i"), new RegExp(`^https://(?:[^@/?#]*@)?${NAME}\\.visualstudio\\.com(?:[/?#]|$)`, "i")];

/** The page on which tokens of an organization are made, or `null` where the URL is none of Azure DevOps. */
function tokensPage(url) {
  for (const form of FORMS) {
    const [, name] = form.exec(url.trim()) || [];
    if (name) return `https://dev.azure.com/${name.toLowerCase()}/_usersettings/tokens`;
  }
  return null;
}

/** How to get a token: its page once the URL is known, in the place of the words that tell the way to it. `of(url)` says it. */
export function tokenHint() {
  const way = h("span");
  const element = h(
    "div",
    { class: "column tight" },
    h("p", {}, "Make one for this organization under ", way, ", with the scope ", h("strong", {}, "Code (Read & write)"), ". ", external(HOW_TO, "How that is done, step by step")),
    h("p", {}, "So that Stackhook can make the service hooks, the token’s user needs the permission ", h("em", {}, "Edit subscriptions"), " in the projects; Project Administrators have it."),
  );
  element.of = (url) => {
    const page = tokensPage(url || "");
    fill(way, page ? external(page, "User settings → Personal access tokens") : "User settings → Personal access tokens (a link, once the URL above is there)");
  };
  element.of("");
  return element;
}
