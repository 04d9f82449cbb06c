"""Back and forward, reload, two tabs, a console that was started anew, somebody who clicks twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

import forms
from consoles import Console
from visits import Visit, kept
from world import World, unique, until

INTEGRATION = unique("moving")
STACK = unique("moving-stack")


@pytest.fixture(scope="module")
def paths(world: World) -> Iterator[list[tuple[str, str]]]:
    """Each page with its heading."""
    world.link(INTEGRATION, serviceHookProjects=["Harbor"])
    world.stack_of(STACK, INTEGRATION)
    world.push({"prod/main.tf": f"# moving {INTEGRATION}"}, message="Moving", author="Asha Rao")
    delivery = until("the delivery", lambda: next((it for it in world.deliveries(INTEGRATION) if it["outcome"] == "dispatched"), None))
    run = world.runs(STACK)[0]
    yield [
        ("/", "Home"),
        ("/integrations", "Integrations"),
        ("/integrations/-/set-up", "Set up an integration"),
        (f"/integrations/{INTEGRATION}", INTEGRATION),
        ("/stacks", "Stacks"),
        ("/stacks/-/new", "New stack"),
        (f"/stacks/{STACK}", STACK),
        (f"/stacks/{STACK}/edit", f"Edit {STACK}"),
        (f"/runs/{run['id']}", f"Run {run['id'][:8]}"),
        (f"/deliveries?integration={INTEGRATION}", "Deliveries"),
        (f"/deliveries/{delivery['id']}", "Asha Rao pushed"),
    ]
    world.unlink(INTEGRATION)
    world.call("DELETE", f"stacks/stacks/{STACK}")


def test_every_page_can_be_loaded_anew_and_left_and_come_back_to(visit: Callable[..., Visit], paths: list[tuple[str, str]]) -> None:
    visitor = visit()
    page = visitor.open()
    heading = page.get_by_role("heading", level=1)
    for path, words in paths:
        page.goto(visitor.console.url + path)
        expect(heading).to_contain_text(words)
        page.reload()
        expect(heading).to_contain_text(words)
        assert page.url == visitor.console.url + path
    for path, words in reversed(paths[:-1]):
        page.go_back()
        expect(heading).to_contain_text(words)
        assert page.url == visitor.console.url + path
    for path, words in paths[1:4]:
        page.go_forward()
        expect(heading).to_contain_text(words)
        assert page.url == visitor.console.url + path


def test_back_and_forward_between_pages_that_were_clicked_to(visit: Callable[..., Visit], paths: list[tuple[str, str]]) -> None:
    page = visit().open()
    heading = page.get_by_role("heading", level=1)
    menu = page.get_by_role("navigation", name="Main")
    page.evaluate("window.wasHere = true")
    for words in ("Integrations", "Stacks", "Deliveries"):
        menu.get_by_role("link", name=words).click()
        expect(heading).to_have_text(words)
        expect(menu.get_by_role("link", name=words)).to_have_attribute("aria-current", "page")
        expect(page).to_have_title(f"{words} · Stackhook")
    for words in ("Stacks", "Integrations", "Home"):
        page.go_back()
        expect(heading).to_have_text(words)
        expect(heading).to_be_focused()
        expect(menu.get_by_role("link", name=words)).to_have_attribute("aria-current", "page")
    page.go_forward()
    expect(heading).to_have_text("Integrations")
    assert page.evaluate("window.wasHere") is True


def test_two_tabs_have_one_session(visit: Callable[..., Visit], paths: list[tuple[str, str]]) -> None:
    visitor = visit()
    first = visitor.open("/stacks")
    expect(first.get_by_role("heading", level=1)).to_have_text("Stacks")
    second = visitor.context.new_page()
    second.goto(f"{visitor.console.url}/stacks/{STACK}")
    expect(second.get_by_role("heading", level=1)).to_have_text(STACK)
    expect(second.get_by_role("button", name="Run now")).to_be_enabled()


def test_u8_what_two_tabs_change_at_once_is_not_overwritten(visit: Callable[..., Visit], world: World, paths: list[tuple[str, str]]) -> None:
    visitor = visit()
    mine, others = visitor.open(f"/stacks/{STACK}/edit"), visitor.open(f"/stacks/{STACK}/edit")
    root = mine.get_by_label("Project root")
    expect(root).to_be_visible()
    others.get_by_label("Project root").fill("staging")
    others.get_by_role("button", name="Save changes").click()
    expect(others.get_by_role("heading", level=1)).to_have_text(STACK)
    root.fill("prod")
    mine.get_by_role("button", name="Save changes").click()
    trouble = mine.get_by_role("main").get_by_role("alert")
    expect(trouble).to_contain_text("Somebody has changed this stack since you opened it")
    expect(trouble).to_contain_text("staging")
    expect(root).to_have_value("prod")
    assert world.call("GET", f"stacks/stacks/{STACK}")["projectRoot"] == "staging"
    trouble.get_by_role("button", name="Load it anew").click()
    expect(mine.get_by_label("Project root")).to_have_value("staging")


def test_a_console_that_was_started_anew_is_told_of_with_what_to_do(visit: Callable[..., Visit], console: Console, paths: list[tuple[str, str]]) -> None:
    visitor = visit()
    visitor.expect("ERR_CONNECTION_REFUSED")
    page = visitor.open("/integrations")
    expect(page.get_by_role("heading", level=1)).to_have_text("Integrations")
    expect(page.get_by_role("table", name="Integrations")).to_be_visible()
    console.restart()
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Stacks").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Open the link from the terminal")
    expect(page.get_by_role("main")).to_contain_text("started anew")
    # What the old one knew is of no use any more, and not kept.
    assert kept(page)["session"] == "{}"
    assert "stackhook-session" not in kept(page)["local"]
    page.goto(f"{console.url}/stacks#{console.code()}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Stacks")
    expect(page.get_by_role("table", name="Stacks")).to_be_visible()


def test_a_console_that_has_ended_is_told_of_with_what_to_do(visit: Callable[..., Visit], console: Console) -> None:
    visitor = visit()
    visitor.expect("ERR_CONNECTION_REFUSED")
    page = visitor.open("/stacks/-/new")
    expect(page.get_by_role("heading", level=1)).to_have_text("New stack")
    console.end()
    try:
        page.get_by_role("navigation", name="Main").get_by_role("link", name="Stacks").click()
        expect(page.get_by_role("main").get_by_role("alert").first).to_contain_text("Is it still running in its terminal?")
    finally:
        console.restart()


def test_u8_who_clicks_twice_sets_up_once(visit: Callable[..., Visit], world: World, name: str) -> None:
    visitor = visit()
    page = visitor.open("/integrations")
    page.get_by_role("main").get_by_role("link", name="Set up").first.click()
    forms.fill_in_integration(page, name=name, url=world.organization, token=world.token)
    page.get_by_role("main").get_by_role("button", name="Save").dblclick()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    assert len([it for it in visitor.posted if it.endswith("/api/setup/integrations")]) == 1
    # Going back does not come to a form that would set it up once more.
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Integrations")
    assert not [place for place, value in kept(page).items() if world.token in str(value)]
    world.unlink(name)


def test_who_clicks_twice_creates_one_stack_and_asks_for_one_run(visit: Callable[..., Visit], world: World, name: str, paths: list[tuple[str, str]]) -> None:
    visitor = visit()
    page = visitor.open("/stacks/-/new")
    forms.picked(page, INTEGRATION)
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Create stack").dblclick()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    assert len([it for it in visitor.posted if it.endswith("/api/stacks/stacks")]) == 1
    page.get_by_role("button", name="Run now").click()
    page.get_by_role("dialog").get_by_role("button", name="Run now").dblclick()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("table", name=f"Runs of {name}").get_by_role("row")).to_have_count(2)
    assert len([it for it in visitor.posted if it.endswith("/runs")]) == 1
    world.call("DELETE", f"stacks/stacks/{name}")


@pytest.mark.parametrize("opens", ["Unlink", "Replace the token"])
def test_a_question_ends_with_the_page_that_it_is_about(visit: Callable[..., Visit], paths: list[tuple[str, str]], opens: str) -> None:
    page = visit().open("/integrations")
    heading = page.get_by_role("heading", level=1)
    for leave, words in ((page.go_back, "Integrations"), (lambda: page.evaluate("dispatchEvent(new Event('session-lost'))"), "Open the link from the terminal")):
        page.get_by_role("table").get_by_role("link", name=INTEGRATION).click()
        expect(heading).to_have_text(INTEGRATION)
        page.get_by_role("button", name=opens, exact=True).click()
        dialog = page.get_by_role("dialog")
        written = dialog.locator("input").first
        written.fill("not to be kept")
        leave()
        expect(heading).to_have_text(words)
        expect(dialog).to_have_count(0)
        assert not [place for place, value in kept(page).items() if "not to be kept" in str(value)]
