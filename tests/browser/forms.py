"""What people do on the forms, by the labels that they read."""

from __future__ import annotations

from playwright.sync_api import Page, expect


def fill_in_integration(page: Page, *, name: str, url: str, token: str, projects: str | None = None) -> None:
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Organization URL").fill(url)
    page.get_by_label("Personal access token", exact=True).fill(token)
    if projects is None:
        page.get_by_label("None now").check()
    else:
        page.get_by_label("Of these projects").check()
        page.get_by_label("Names of the projects").fill(projects)


def pick(page: Page, label: str, words: str) -> None:
    """In one of the pickers, as somebody does who types."""
    box = page.get_by_role("combobox", name=label)
    box.fill(words)
    page.get_by_role("option", name=words).first.click()
    expect(box).to_have_value(words)


def picked(page: Page, integration: str, project: str = "Harbor", repository: str = "platform") -> None:
    """The pickers of the stack's form; the branch is then the repository's default."""
    pick(page, "Integration", integration)
    pick(page, "Project", project)
    pick(page, "Repository", repository)
    expect(page.get_by_role("combobox", name="Branch")).not_to_have_value("")
