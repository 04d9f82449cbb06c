"""The console where nothing is there yet: every page says what to do next, and looks as it should."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

import looks
from visits import Visit

PAGES = {
    "home-empty": ("/", "Home"),
    "integrations-empty": ("/integrations", "Integrations"),
    "set-up": ("/integrations/-/set-up", "Set up an integration"),
    "stacks-empty": ("/stacks", "Stacks"),
    "stack-form-empty": ("/stacks/-/new", "New stack"),
    "deliveries-empty": ("/deliveries", "Deliveries"),
    "no-such-page": ("/no/such/page", "There is no such page"),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_with_nothing_on_it_is_accessible_in_both_themes_and_fits_a_phone(visit: Callable[..., Visit], name: str) -> None:
    path, heading = PAGES[name]
    page = visit().open(path)
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    looks.examine(page, name)


def test_the_page_without_a_session_is_accessible_in_both_themes_and_fits_a_phone(visit: Callable[..., Visit]) -> None:
    visitor = visit()
    page = visitor.context.new_page()
    page.goto(visitor.console.url)
    expect(page.get_by_role("heading", level=1)).to_have_text("Open the link from the terminal")
    looks.examine(page, "no-session")


@pytest.mark.parametrize(
    ("path", "next_step"),
    [
        ("/integrations", "/integrations/-/set-up"),
        ("/stacks", "/integrations/-/set-up"),
        ("/stacks/-/new", "/integrations/-/set-up"),
        ("/deliveries", "/integrations"),
    ],
)
def test_an_empty_page_leads_to_what_comes_first(visit: Callable[..., Visit], path: str, next_step: str) -> None:
    page = visit().open(path)
    leads = page.get_by_role("main").get_by_role("link").and_(page.locator(f"[href='{next_step}']"))
    expect(leads.first).to_be_visible()
