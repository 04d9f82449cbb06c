"""Everything with the keyboard alone: Tab, Enter, arrows, Escape; and one sees where one is."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from visits import Visit
from world import World, unique, until

NAME = unique("by-keyboard")
STACK = unique("by-keyboard-stack")


def visible_focus(page: Page) -> bool:
    """Whether what has the focus shows it, by itself or by what is around it."""
    return bool(
        page.evaluate(
            """() => {
                const seen = (it) => {
                    const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(it);
                    return (outlineStyle !== "none" && parseFloat(outlineWidth) >= 1) || boxShadow !== "none";
                };
                const it = document.activeElement;
                const box = it.getBoundingClientRect();
                return it !== document.body && seen(it) && box.bottom > 0 && box.top < innerHeight;
            }"""
        )
    )


def tab_to(page: Page, wanted: Locator, key: str = "Tab", most: int = 80) -> None:
    """Goes on until something has the focus; whatever has it on the way shows it."""
    expect(wanted).to_be_visible()
    for _ in range(most):
        if wanted.evaluate("(it) => it === document.activeElement"):
            return
        page.keyboard.press(key)
        assert visible_focus(page), page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
    raise AssertionError(f"not reached within {most} steps: {wanted}")


def type_into(page: Page, field: Locator, words: str) -> None:
    tab_to(page, field)
    page.keyboard.type(words)


def pick(page: Page, label: str, words: str) -> None:
    """With the arrows, in one of the pickers."""
    box = page.get_by_role("combobox", name=label)
    tab_to(page, box)
    if box.input_value() == words:
        return
    page.keyboard.type(words[:4])
    expect(page.get_by_role("option", name=words).first).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(box).to_have_attribute("aria-activedescendant", page.get_by_role("option", selected=True).get_attribute("id") or "")
    page.keyboard.press("Enter")
    expect(box).to_have_value(words)
    expect(box).to_have_attribute("aria-expanded", "false")


def test_somebody_without_a_mouse_sets_up_follows_and_unlinks(visit: Callable[..., Visit], world: World) -> None:
    page = visit().open("/integrations")
    main = page.get_by_role("main")
    set_up = main.get_by_role("link", name="Set up").first
    tab_to(page, set_up)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Set up an integration")
    expect(page.get_by_role("heading", level=1)).to_be_focused()

    type_into(page, page.get_by_label("Name", exact=True), NAME)
    type_into(page, page.get_by_label("Organization URL"), world.organization)
    type_into(page, page.get_by_label("Personal access token", exact=True), world.token)
    # One of the group has the focus; the arrows go through it.
    every = page.get_by_label("Of all projects")
    for _ in range(30):
        if page.evaluate("document.activeElement.type") == "radio":
            break
        page.keyboard.press("Tab")
    named = page.get_by_label("Of these projects")
    for _ in range(3):
        if named.is_checked():
            break
        page.keyboard.press("ArrowDown")
    expect(named).to_be_checked()
    expect(every).not_to_be_checked()
    type_into(page, page.get_by_label("Names of the projects"), "Harbor")
    tab_to(page, main.get_by_role("button", name="Save"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(NAME, timeout=60_000)
    expect(page.get_by_role("heading", level=1)).to_be_focused()

    # The navigation stands before the content.
    tab_to(page, page.get_by_role("navigation", name="Main").get_by_role("link", name="Stacks"), "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Stacks")
    tab_to(page, main.get_by_role("link", name="New stack").first)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("New stack")
    pick(page, "Integration", NAME)
    pick(page, "Project", "Harbor")
    pick(page, "Repository", "platform")
    # Escape closes the list and nothing else.
    branch = page.get_by_role("combobox", name="Branch")
    tab_to(page, branch)
    expect(branch).to_have_value("main")
    page.keyboard.press("ArrowDown")
    expect(branch).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Escape")
    expect(branch).to_have_attribute("aria-expanded", "false")
    expect(branch).to_have_value("main")
    name = page.get_by_label("Name", exact=True)
    tab_to(page, name)
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type(STACK)
    tab_to(page, main.get_by_role("button", name="Create stack"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(STACK)

    world.push({"prod/main.tf": f"# by keyboard {NAME}"}, message="By keyboard", author="Petra Lindh")
    until("the delivery", lambda: any(it["outcome"] == "dispatched" for it in world.deliveries(NAME)) or None)
    tab_to(page, page.get_by_role("navigation", name="Main").get_by_role("link", name="Deliveries"), "Shift+Tab")
    page.keyboard.press("Enter")
    filters = page.get_by_role("search", name="Filters of deliveries").get_by_label("Integration")
    expect(filters.get_by_role("option", name=NAME)).to_be_attached()
    tab_to(page, filters)
    page.keyboard.type(NAME)
    expect(filters).to_have_value(NAME)
    row = page.get_by_role("table", name="Deliveries, newest first").get_by_role("link", name="Petra Lindh pushed").first
    tab_to(page, row)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Petra Lindh pushed")
    link = page.get_by_role("region", name="What came").get_by_role("link", name=NAME)
    tab_to(page, link)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(NAME)

    # The dialog keeps the focus; Escape gives it back to what opened it.
    unlink = page.get_by_role("button", name="Unlink")
    tab_to(page, unlink)
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name=f"Unlink {NAME}")
    expect(dialog).to_be_visible()
    for _ in range(8):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body || document.activeElement.closest('dialog') !== null")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(unlink).to_be_focused()
    page.keyboard.press("Enter")
    field = dialog.get_by_label(f"Type {NAME} to confirm")
    tab_to(page, field)
    page.keyboard.type(NAME)
    expect(dialog.get_by_role("button", name="Unlink")).to_be_enabled()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{NAME} is unlinked", timeout=60_000)
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    world.call("DELETE", f"stacks/stacks/{STACK}")


def test_the_first_thing_on_a_page_skips_the_navigation(visit: Callable[..., Visit]) -> None:
    page = visit().open("/stacks")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Stacks")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    assert visible_focus(page)
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.getElementById('content').contains(document.activeElement)")
    expect(page.get_by_role("heading", level=1)).to_have_text("Stacks")


def test_the_theme_is_chosen_with_the_keyboard_and_stays(visit: Callable[..., Visit]) -> None:
    page = visit().open()
    tab_to(page, page.get_by_role("button", name="Dark theme"))
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Light theme")).to_be_focused()
    after = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert after != before
    page.reload()
    expect(page.get_by_role("button", name="Light theme")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == after
