"""The delivery log while things happen."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from visits import Visit
from world import World, unique, until

INTEGRATION = unique("lively")
STACK = unique("lively-stack")


@pytest.fixture(scope="module", autouse=True)
def linked(world: World) -> Iterator[None]:
    world.link(INTEGRATION, serviceHookProjects=["Harbor"])
    world.stack_of(STACK, INTEGRATION, projectRoot="prod")
    yield
    world.unlink(INTEGRATION)
    world.call("DELETE", f"stacks/stacks/{STACK}")


def test_a_delivery_appears_while_the_log_is_open_and_its_outcome_changes_in_place(visit: Callable[..., Visit], world: World) -> None:
    page = visit().open(f"/deliveries?integration={INTEGRATION}")
    main = page.get_by_role("main")
    expect(main).to_contain_text(re.compile("No delivery fits|Nothing was received yet"))
    page.evaluate("window.wasHere = true")
    # What changed is asked of Azure DevOps, which takes its time: so it is seen before it is decided.
    world.control("POST", "faults", {"kind": "latency", "path": "/diffs", "times": 1, "milliseconds": 6000})
    try:
        world.push({"prod/main.tf": f"# seen early {INTEGRATION}"}, message="Seen early", author="Petra Lindh")
        row = page.get_by_role("table", name="Deliveries, newest first").get_by_role("row").filter(has_text="Petra Lindh pushed 1 commit to branch main")
        expect(row).to_contain_text("stored", timeout=30_000)
        row.evaluate("(it) => { it.wasHere = true; }")
        expect(row).to_contain_text("dispatched", timeout=60_000)
    finally:
        world.control("DELETE", "faults")
    assert row.evaluate("(it) => it.wasHere") is True
    assert page.evaluate("window.wasHere") is True


def test_an_open_delivery_follows_what_becomes_of_it(visit: Callable[..., Visit], world: World) -> None:
    page = visit().open(f"/deliveries?integration={INTEGRATION}")
    before = len(world.deliveries(INTEGRATION))
    world.control("POST", "faults", {"kind": "latency", "path": "/diffs", "times": 1, "milliseconds": 6000})
    try:
        world.push({"prod/main.tf": f"# followed {INTEGRATION}"}, message="Followed", author="Olu Adeyemi")
        delivery = until("it is received", lambda: (found := world.deliveries(INTEGRATION)) and len(found) > before and found[0] or None)
        page.get_by_role("table", name="Deliveries, newest first").get_by_role("link", name="Olu Adeyemi pushed").first.click()
        became = page.get_by_role("region", name="What became of it")
        expect(became).to_contain_text("is being dispatched")
        expect(became).to_contain_text("It asked for runs", timeout=60_000)
    finally:
        world.control("DELETE", "faults")
    assert page.url.endswith(delivery["id"])
    expect(page.get_by_role("region", name="What the stacks made of it")).to_contain_text(STACK)
    expect(page.get_by_role("region", name="The payload")).to_contain_text('"eventType": "git.push"')


def chosen(page: Page) -> dict[str, str]:
    filters = page.get_by_role("search", name="Filters of deliveries")
    return {label: filters.get_by_label(label).input_value() for label in ("Integration", "Type", "Repository", "Outcome", "Received")}


def test_filters_survive_a_reload_and_can_be_shared_as_an_address(visit: Callable[..., Visit], world: World) -> None:
    world.push({"docs/notes.md": f"1 {INTEGRATION}"}, message="Nothing for the stack", author="Milo Brandt")
    until("it is ignored", lambda: any(it["outcome"] == "ignored" for it in world.deliveries(INTEGRATION)) or None)
    visitor = visit()
    page = visitor.open("/deliveries")
    filters = page.get_by_role("search", name="Filters of deliveries")
    table = page.get_by_role("table", name="Deliveries, newest first")
    filters.get_by_label("Integration").select_option(INTEGRATION)
    filters.get_by_label("Type").select_option(label="push")
    filters.get_by_label("Repository").fill("Harbor/platform")
    filters.get_by_label("Outcome").select_option("ignored")
    filters.get_by_label("Received").select_option(label="The last hour")
    expect(page).to_have_url(re.compile("time=hour"))
    expect(page).to_have_url(re.compile("repository=Harbor"))
    expect(table.get_by_role("row").nth(1)).to_contain_text("ignored")
    wanted = chosen(page)

    def right() -> None:
        expect(table.get_by_role("row").nth(1)).to_contain_text("ignored")
        assert chosen(page) == wanted
        rows = table.get_by_role("row").all_text_contents()[1:]
        assert rows
        assert all("ignored" in row and INTEGRATION in row for row in rows)

    right()
    page.reload()
    right()
    page.goto(page.url)
    right()
    filters.get_by_role("button", name="Reset the filters").click()
    expect(page).to_have_url(f"{visitor.console.url}/deliveries")


def test_sending_again_says_first_what_would_come_of_it(visit: Callable[..., Visit], world: World) -> None:
    world.push({"prod/main.tf": f"# again {INTEGRATION}"}, message="Again", author="Asha Rao")
    delivery = until("it is dispatched", lambda: next((it for it in world.deliveries(INTEGRATION) if it["outcome"] == "dispatched" and "Asha Rao" in it["summary"]), None))
    runs = len(world.runs(STACK))
    page = visit().open(f"/deliveries/{delivery['id']}")
    page.get_by_role("button", name="Send again").click()
    dialog = page.get_by_role("dialog", name="Send this again")
    expect(dialog).to_contain_text("No run would come of it that there is not already")
    dialog.get_by_label("Ask for new runs, too").check()
    expect(dialog).to_contain_text("1 run would come of it")
    expect(dialog).to_contain_text(STACK)
    assert len(world.runs(STACK)) == runs
    dialog.get_by_role("button", name="Send again").click()
    expect(page.get_by_role("region", name="Notifications")).to_contain_text("It was sent again")
    until("the new run", lambda: len(world.runs(STACK)) == runs + 1 or None)
