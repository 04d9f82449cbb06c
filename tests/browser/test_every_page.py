"""Every page with what it is there to show. Its pictures are those that the README has."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

import forms
import looks
from visits import Visit
from world import World, until

INTEGRATION = "tidewater"
STACK = "prod-network"


@dataclass
class Furnished:
    """Ids of what there is to show."""

    delivery: str
    run: str


@pytest.fixture(scope="module")
def furnished(world: World) -> Furnished:
    """An integration with hooks, stacks, and some hours of work."""
    expires = datetime.date.today() + datetime.timedelta(days=200)
    world.link(
        INTEGRATION,
        personalAccessTokenExpiresOn=expires.isoformat(),
        description="The platform team's organization",
        labels=["platform"],
        serviceHookProjects=["Harbor", "Quay Works"],
    )
    world.stack_of(STACK, INTEGRATION, projectRoot="prod", globs=["modules/net/**"], labels=["network", "production"])
    world.stack_of("staging", INTEGRATION, projectRoot="staging", runDrafts=True)
    world.stack_of("net-module", INTEGRATION, kind="module", projectRoot="modules/net")
    for number, (files, message, author) in enumerate(
        [
            ({"prod/main.tf": "# 1"}, "Give the east pier its own subnet", "Asha Rao"),
            ({"docs/runbook.md": "1"}, "Say whom to call at night", "Milo Brandt"),
            ({"modules/net/main.tf": "# 2"}, "Let the module take more than one zone", "Petra Lindh"),
            ({"staging/main.tf": "# 3", "prod/main.tf": "# 3"}, "Raise the time-out of the gateway", "Olu Adeyemi"),
        ]
    ):
        world.push(dict(files), message=message, author=author)
        # A push that comes while an earlier one's run waits would take its place.
        until("the push's delivery", lambda wanted=number + 1: len(decided(world)) >= wanted or None)
        for run in world.runs(STACK):
            if run["state"] == "queued":
                world.report(run["id"], state="running", description="Planning", targetUrl="https://ci.example.org/builds/4711")
                if number < 2:
                    world.report(run["id"], state="finished", description="2 to add, 1 to change, 0 to destroy")
                elif number == 2:
                    world.report(run["id"], state="failed", description="The provider refused the plan")
    world.push({"prod/gangway.tf": "# 4"}, branch="feature/second-gangway", message="Draw the second gangway", **{"from": "main"})
    world.pull_request("feature/second-gangway", "Add a second gangway", reviewers=["Milo"])
    # Whichever of the pull request's events comes first asks for its run.
    of_request = until(
        "the pull request's delivery",
        lambda: next((it for it in decided(world) if it["eventType"].startswith("git.pullrequest.") and it["outcome"] == "dispatched"), None),
    )
    run = next(it for it in world.runs(STACK) if it["state"] == "finished")
    return Furnished(of_request["id"], run["id"])


def decided(world: World) -> list[dict[str, str]]:
    return [it for it in world.deliveries(INTEGRATION) if it["outcome"] != "stored"]


def fill_in_stack_form(page: Page) -> None:
    forms.picked(page, INTEGRATION)
    page.get_by_label("Project root").fill("prod")
    expect(page.get_by_role("list", name="Deliveries, newest first").get_by_role("listitem").first).to_be_visible()


PAGES: dict[str, tuple[str, str, Callable[[Page], None] | None]] = {
    "home": ("/", "Home", None),
    "integrations": ("/integrations", "Integrations", None),
    "integration": (f"/integrations/{INTEGRATION}", INTEGRATION, None),
    "stacks": ("/stacks", "Stacks", None),
    "stack-form": ("/stacks/-/new", "New stack", fill_in_stack_form),
    "stack": (f"/stacks/{STACK}", STACK, None),
    "stack-edit": (f"/stacks/{STACK}/edit", f"Edit {STACK}", None),
    "run": ("/runs/{run}", "Run ", None),
    "deliveries": (f"/deliveries?integration={INTEGRATION}", "Deliveries", None),
    "delivery": ("/deliveries/{delivery}", "Add a second gangway", None),
    "no-such-integration": ("/integrations/none-such", "none-such", None),
    "no-such-stack": ("/stacks/none-such", "none-such", None),
    "no-such-run": ("/runs/00000000-0000-4000-8000-000000000000", "Run ", None),
    "no-such-delivery": ("/deliveries/none-such", "no such delivery", None),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_in_both_themes_and_fits_a_phone(visit: Callable[..., Visit], furnished: Furnished, name: str) -> None:
    path, heading, prepare = PAGES[name]
    page = visit().open(path.format(run=furnished.run, delivery=furnished.delivery))
    expect(page.get_by_role("heading", level=1)).to_contain_text(heading)
    looks.settle(page)
    if prepare:
        prepare(page)
    looks.examine(page, name)


@pytest.mark.parametrize(
    ("path", "button"),
    [
        (f"/integrations/{INTEGRATION}", "Unlink"),
        (f"/stacks/{STACK}", "Run now"),
        (f"/stacks/{STACK}", "Delete"),
        ("/deliveries/{delivery}", "Send again"),
    ],
)
def test_a_dialog_is_accessible_in_both_themes_and_fits_a_phone(visit: Callable[..., Visit], furnished: Furnished, path: str, button: str) -> None:
    page = visit().open(path.format(delivery=furnished.delivery))
    looks.settle(page)
    page.get_by_role("button", name=button).first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    looks.examine(page, again=False)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("button", name=button).first).to_be_focused()
