"""What the integration is for, from a console with nothing in it to one that is unlinked again, by somebody who only reads the page."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

import forms
from visits import Visit, kept
from world import World

NAME = "acme-platform"


def test_a_stranger_sets_up_an_integration_sees_its_pushes_run_and_unlinks_it(visit: Callable[..., Visit], world: World) -> None:
    visitor = visit()
    page = visitor.open()
    main = page.get_by_role("main")

    # Nothing is there: Home says how to begin.
    expect(main.get_by_role("heading", name="Welcome")).to_be_visible()
    main.get_by_role("link", name="Set up an integration").click()

    # The form explains both forms of the URL, the token's scope and where a token is made.
    expect(page.get_by_role("heading", level=1)).to_have_text("Set up an integration")
    for words in ("https://dev.azure.com/", ".visualstudio.com", "Code (Read & write)", "Personal access tokens"):
        expect(main).to_contain_text(words)
    forms.fill_in_integration(page, name=NAME, url=world.organization, token=world.token, projects="Harbor")
    main.get_by_role("button", name="Save").click()

    # The two notifications, bottom right.
    notifications = page.get_by_role("region", name="Notifications")
    for words in ("New integration was created", "Connecting to Azure DevOps succeeded"):
        notice = notifications.get_by_role("status").filter(has_text=words)
        expect(notice).to_be_visible()
        box, size = notice.bounding_box(), page.viewport_size
        assert box and size
        assert box["x"] > size["width"] / 2
        assert box["y"] > size["height"] / 2
    expect(page.get_by_role("heading", level=1)).to_have_text(NAME)
    assert page.url.endswith(f"/integrations/{NAME}")
    assert not [place for place, value in kept(page).items() if world.token in str(value)]

    # Endpoint and password are there to be copied; the password is hidden until somebody asks.
    webhook = world.call("GET", f"setup/integrations/{NAME}/webhook")
    section = page.get_by_role("region", name="Webhook")
    expect(section.get_by_text(webhook["endpoint"])).to_be_visible()
    section.get_by_role("button", name="Copy the webhook endpoint").click()
    expect(notifications).to_contain_text("Copied the webhook endpoint")
    assert page.evaluate("navigator.clipboard.readText()") == webhook["endpoint"]
    password = webhook["password"]
    assert password not in page.content()
    section.get_by_role("button", name="Show the webhook password").click()
    expect(section.get_by_role("button", name="Show the webhook password")).to_have_attribute("aria-pressed", "true")
    assert (section.text_content() or "").count(password) == 1
    section.get_by_role("button", name="Show the webhook password").click()
    expect(section.get_by_role("button", name="Show the webhook password")).to_have_attribute("aria-pressed", "false")
    assert password not in page.content()
    section.get_by_role("button", name="Copy the webhook password").click()
    expect(notifications).to_contain_text("Copied the webhook password")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == password, "another password was copied"

    # The five hooks of the project are there, and well; in the portal, too.
    hooks = page.get_by_role("region", name="Service hooks", exact=True)
    for event in ("Code pushed", "Pull request created", "Pull request merge attempted", "Pull request updated", "Pull request commented on"):
        expect(hooks.get_by_role("row").filter(has_text=event)).to_contain_text("enabled")
    assert len(world.subscriptions(webhook["endpoint"])) == 5

    # For another project somebody makes them at the portal, with what was copied.
    ours = {it["id"] for it in world.subscriptions(webhook["endpoint"])}
    world.organization_control("POST", "subscriptions", {"project": "Quay Works", "url": webhook["endpoint"], "password": copied})
    assert len(world.subscriptions(webhook["endpoint"])) == 10
    world.push({"tides.tf": "#"}, project="Quay Works", repository="tide tables", message="Note the spring tide")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Deliveries").click()
    log = page.get_by_role("table", name="Deliveries, newest first")
    expect(log.get_by_role("row").filter(has_text="Quay Works/tide tables").first).to_contain_text("ignored", timeout=60_000)

    # A stack, by the pickers.
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Stacks").click()
    main.get_by_role("link", name="New stack").first.click()
    forms.picked(page, NAME)
    page.get_by_label("Project root").fill("prod")
    page.get_by_label("Name", exact=True).fill("acme-prod")
    main.get_by_role("button", name="Create stack").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("acme-prod")

    # A push, and its run is there without anybody asking for the page again.
    world.push({"prod/main.tf": "# the first"}, message="Widen the basin", author="Asha Rao")
    runs = page.get_by_role("table", name="Runs of acme-prod")
    expect(runs.get_by_role("row").nth(1)).to_contain_text("queued", timeout=60_000)
    run = world.runs("acme-prod")[0]
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Deliveries").click()
    pushed = log.get_by_role("row").filter(has_text="Asha Rao pushed 1 commit to branch main of Harbor/platform")
    expect(pushed).to_contain_text("dispatched")
    pushed.get_by_role("link", name="Asha Rao pushed").click()
    decided = page.get_by_role("region", name="What the stacks made of it")
    expect(decided).to_contain_text("prod/main.tf")
    decided.get_by_role("link", name="run").click()

    # The executor reports; the page of the run follows.
    expect(page.get_by_role("heading", level=1)).to_contain_text(run["id"][:8])
    goes = page.get_by_role("region", name="How it goes")
    world.report(run["id"], state="running", description="Planning", targetUrl="https://ci.example.org/builds/4711")
    expect(goes).to_contain_text("running")
    expect(goes.get_by_role("link", name="https://ci.example.org/builds/4711")).to_be_visible()
    world.report(run["id"], state="finished", description="1 to add, 0 to change, 0 to destroy")
    expect(goes).to_contain_text("finished")
    expect(goes).to_contain_text("1 to add, 0 to change, 0 to destroy")
    expect(goes).to_contain_text("stackhook/acme-prod: succeeded", timeout=60_000)
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Stacks").click()
    expect(page.get_by_role("table", name="Stacks").get_by_role("row").filter(has_text="acme-prod")).to_contain_text("finished")

    # Unlinking says what it will do, and wants the name.
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Integrations").click()
    main.get_by_role("link", name=NAME).click()
    page.get_by_role("button", name="Unlink").click()
    dialog = page.get_by_role("dialog", name=f"Unlink {NAME}")
    expect(dialog).to_contain_text("acme-prod")
    expect(dialog).to_contain_text("service hooks")
    confirm = dialog.get_by_role("button", name="Unlink")
    expect(confirm).to_be_disabled()
    dialog.get_by_label(f"Type {NAME} to confirm").fill(NAME[:-1])
    expect(confirm).to_be_disabled()
    dialog.get_by_label(f"Type {NAME} to confirm").fill(NAME)
    confirm.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{NAME} is unlinked", timeout=60_000)
    expect(main).to_contain_text("Service hooks that were made by hand")
    main.get_by_role("link", name="Back to the integrations").click()
    expect(main).to_contain_text("No organization is linked yet")
    # Stackhook has deleted what it made; what somebody made by hand is theirs to remove.
    assert not [it for it in world.subscriptions(webhook["endpoint"]) if it["id"] in ours]

    # The stack is still there, detached; its owner deletes it.
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Stacks").click()
    expect(page.get_by_role("table", name="Stacks").get_by_role("row").filter(has_text="acme-prod")).to_contain_text("detached")
    page.get_by_role("table", name="Stacks").get_by_role("link", name="acme-prod").click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete stack").click()
    expect(notifications).to_contain_text("acme-prod was deleted")
    expect(page.get_by_role("heading", level=1)).to_have_text("Stacks")
    assert not [it for it in visitor.asked if password in it]
