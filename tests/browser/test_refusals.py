"""What is refused is said at its field, with what to do; what was typed stays; the token is kept by nobody."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

import forms
from visits import Visit, kept
from world import World, unique

PLACES = ("html", "local", "session", "cookies", "address", "state")


@pytest.fixture(scope="module")
def linked(world: World) -> Iterator[str]:
    """An integration that is there already."""
    name = unique("refusals")
    world.link(name)
    yield name
    world.unlink(name)


def save(page: Page) -> None:
    page.get_by_role("main").get_by_role("button", name="Save").click()


def refused(page: Page, field: Locator, words: str) -> None:
    """A field has the focus, is said to be wrong, and why."""
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    expect(field).to_have_accessible_description(re.compile(re.escape(words)))
    wrong = page.get_by_role("main").locator("[aria-invalid=true]")
    expect(wrong).to_have_count(1)


@pytest.mark.parametrize(
    "url",
    [
        "https://dev.azure.com.evil.example/acme",
        "https://evil@dev.azure.com/",
        "http://dev.azure.com/acme",
        "javascript:alert(1)",
        "https://dev.azure.com",
    ],
)
def test_u1_a_url_that_is_no_organization_is_refused_at_its_field(visit: Callable[..., Visit], world: World, name: str, url: str) -> None:
    page = visit().open("/integrations/-/set-up")
    forms.fill_in_integration(page, name=name[:40], url=url, token=world.token, projects="Harbor")
    page.get_by_label("Description").fill("What was typed")
    save(page)
    refused(page, page.get_by_label("Organization URL"), "dev.azure.com")
    expect(page.get_by_label("Organization URL")).to_have_value(url)
    expect(page.get_by_label("Name", exact=True)).to_have_value(name[:40])
    expect(page.get_by_label("Names of the projects")).to_have_value("Harbor")
    expect(page.get_by_label("Description")).to_have_value("What was typed")
    assert not [place for place in PLACES if world.token in str(kept(page)[place])]


@pytest.mark.parametrize(("kind", "words"), [("expired", "expired"), ("withoutScope", "Code (Read"), ("unknown", "token"), ("otherOrganization", "token")])
def test_u4_a_token_that_does_not_work_is_refused_at_its_field(visit: Callable[..., Visit], world: World, name: str, kind: str, words: str) -> None:
    page = visit().open("/integrations/-/set-up")
    forms.fill_in_integration(page, name=name[:40], url=world.organization, token=world.tokens[kind])
    save(page)
    refused(page, page.get_by_label("Personal access token", exact=True), words)
    expect(page.get_by_label("Organization URL")).to_have_value(world.organization)
    shown = kept(page)
    assert not [place for place in PLACES if world.tokens[kind] in str(shown[place])]
    # Somebody who goes elsewhere leaves it nowhere.
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Home").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Home")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Set up an integration")
    assert not [place for place, value in kept(page).items() if world.tokens[kind] in str(value)]


def test_a_token_that_was_mended_is_taken_where_the_form_stands(visit: Callable[..., Visit], world: World, name: str) -> None:
    page = visit().open("/integrations/-/set-up")
    forms.fill_in_integration(page, name=name[:40], url=world.organization, token=world.tokens["expired"])
    save(page)
    token = page.get_by_label("Personal access token", exact=True)
    expect(token).to_have_attribute("aria-invalid", "true")
    token.fill(world.token)
    save(page)
    expect(page.get_by_role("heading", level=1)).to_have_text(name[:40])
    assert not [place for place, value in kept(page).items() if world.token in str(value)]
    world.unlink(name[:40])


def test_a_name_that_is_taken_is_refused_at_its_field(visit: Callable[..., Visit], world: World, linked: str) -> None:
    page = visit().open("/integrations/-/set-up")
    forms.fill_in_integration(page, name=linked, url=world.organization, token=world.token)
    save(page)
    refused(page, page.get_by_label("Name", exact=True), linked)
    expect(page.get_by_role("main").get_by_role("link", name=linked)).to_have_attribute("href", f"/integrations/{linked}")


@pytest.mark.parametrize("wrong", ["Acme", "acme--platform", "-acme", "a" * 60, "<b>x</b>", ""])
def test_a_name_that_is_none_is_refused_before_anybody_is_asked(visit: Callable[..., Visit], world: World, wrong: str) -> None:
    visitor = visit()
    page = visitor.open("/integrations/-/set-up")
    forms.fill_in_integration(page, name=wrong, url=world.organization, token=world.token)
    save(page)
    refused(page, page.get_by_label("Name", exact=True), "name")
    assert not [it for it in visitor.posted if it.endswith("/api/setup/integrations")]


def test_a_repository_that_is_not_there_is_refused_at_its_field(visit: Callable[..., Visit], linked: str, name: str) -> None:
    page = visit().open("/stacks/-/new")
    forms.picked(page, linked)
    page.get_by_label("Project root").fill("prod")
    repository = page.get_by_role("combobox", name="Repository")
    repository.fill("no-such-repository")
    expect(page.get_by_role("option")).to_contain_text("Nothing fits")
    repository.press("Escape")
    page.get_by_role("combobox", name="Branch").fill("main")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Create stack").click()
    refused(page, repository, "there is no such repository")
    expect(repository).to_have_value("no-such-repository")
    expect(page.get_by_label("Project root")).to_have_value("prod")
    expect(page.get_by_label("Name", exact=True)).to_have_value(name)


def test_a_stack_s_name_that_is_taken_is_refused_at_its_field(visit: Callable[..., Visit], world: World, linked: str, name: str) -> None:
    world.stack_of(name, linked)
    page = visit().open("/stacks/-/new")
    forms.picked(page, linked)
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Create stack").click()
    refused(page, page.get_by_label("Name", exact=True), "there is a stack of this name already")
    world.call("DELETE", f"stacks/stacks/{name}")


def test_azure_devops_being_away_is_said_with_what_to_do(visit: Callable[..., Visit], world: World, name: str) -> None:
    page = visit().open("/integrations/-/set-up")
    forms.fill_in_integration(page, name=name[:40], url=world.organization, token=world.token)
    world.control("POST", "faults", {"kind": "status", "status": 503})
    try:
        save(page)
        trouble = page.get_by_role("main").get_by_role("alert")
        expect(trouble).to_contain_text("Azure DevOps", timeout=60_000)
    finally:
        world.control("DELETE", "faults")
    expect(page.get_by_label("Organization URL")).to_have_value(world.organization)
    save(page)
    expect(page.get_by_role("heading", level=1)).to_have_text(name[:40])
    world.unlink(name[:40])
