"""Whoever may open a pull request may write its title; whoever knows a webhook's password may write anything. All of it is text here."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

import forms
import looks
from visits import Visit
from world import World, unique, until

INTEGRATION = unique("hostile")
STACK = unique("hostile-stack")
EVENTS = Path(__file__).resolve().parents[2] / "events" / "ado"
# Each says in window.planted that it ran.
TITLE = "<img src=x onerror=\"window.planted='title'\"><script>window.planted='title'</script>{{7*7}}${7*7}"
MESSAGE = "</pre></textarea><svg onload=\"window.planted='message'\"> {{constructor.constructor('window.planted=1')()}}"
BRANCH = "feature/<img/src=x/onerror=window.planted=1>"
DIRECTION = "‮txt.exe‬⁦gpj.nalp⁩​"
ANSI = "\x1b[31mred\x1b[0m\x1b]8;;http://127.0.0.1:9/\x07link\x1b]8;;\x07"
ADDRESS = "javascript:window.planted='address'"


@dataclass
class Hostile:
    """Ids of what has it."""

    forged: str
    pull_request: str
    run: str


@pytest.fixture(scope="module")
def hostile(world: World) -> Iterator[Hostile]:
    world.link(INTEGRATION, serviceHookProjects=["Harbor"], description=f"{TITLE} {DIRECTION}", labels=[TITLE[:60]])
    world.stack_of(STACK, INTEGRATION, labels=["<b>bold</b>"])
    world.push({"prod/main.tf": f"# hostile {INTEGRATION}"}, message=f"{MESSAGE} {DIRECTION} {ANSI}", author="Asha Rao")
    world.push({"prod/other.tf": f"# {INTEGRATION}"}, branch=BRANCH, message=MESSAGE, **{"from": "main"})
    world.pull_request(BRANCH, f"{TITLE} {DIRECTION}", description=f"{MESSAGE} {ANSI}")
    world.deliver(INTEGRATION, json.dumps(forged()).encode())
    opened = until("the pull request", lambda: next((it for it in world.deliveries(INTEGRATION) if BRANCH in it["summary"] and it["outcome"] == "dispatched"), None))
    made = until("what was forged", lambda: next((it for it in world.deliveries(INTEGRATION) if "planted='person'" in it["summary"]), None))
    run = next(it for it in world.runs(STACK) if it["kind"] == "proposed")
    world.report(run["id"], state="running", description=f"{MESSAGE} {DIRECTION} {ANSI}")
    yield Hostile(made["id"], opened["id"], run["id"])
    world.unlink(INTEGRATION)
    world.call("DELETE", f"stacks/stacks/{STACK}")


def forged() -> dict[str, object]:
    """A body in which everything that can be hostile is."""
    body = json.loads((EVENTS / "git.pullrequest.created.json").read_text())
    html = "<img src=http://127.0.0.1:9/pixel onerror=\"window.planted='html'\"><iframe src=\"http://127.0.0.1:9/frame\"></iframe>"
    body["id"] = str(uuid.uuid4())
    body["createdDate"] = datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")
    for part in ("message", "detailedMessage"):
        body[part] = {"text": f"{MESSAGE} {ANSI}", "html": html, "markdown": f"[x]({ADDRESS}) ![x](http://127.0.0.1:9/pixel)"}
    resource = body["resource"]
    resource["title"] = f"{TITLE} {DIRECTION}"
    resource["description"] = f"{MESSAGE} {html}"
    resource["createdBy"]["displayName"] = "<img src=x onerror=\"window.planted='person'\">"
    resource["createdBy"]["imageUrl"] = "http://127.0.0.1:9/face"
    resource["repository"]["name"] = "<b>repository</b>"
    resource["repository"]["project"]["name"] = "<script>window.planted='project'</script>"
    resource["repository"]["webUrl"] = resource["repository"]["remoteUrl"] = ADDRESS
    body["__proto__"] = {"planted": True}
    return dict(body)


PAGES = {
    "home": "/",
    "integrations": "/integrations",
    "integration": f"/integrations/{INTEGRATION}",
    "stacks": "/stacks",
    "stack": f"/stacks/{STACK}",
    "run": "/runs/{run}",
    "log": f"/deliveries?integration={INTEGRATION}",
    "pull request": "/deliveries/{pull_request}",
    "forged": "/deliveries/{forged}",
}
# Where it is to be read, to the letter.
SHOWN = {
    "integration": [TITLE],
    "stack": ["<b>bold</b>"],
    "run": [BRANCH, MESSAGE],
    "log": [TITLE, BRANCH, "planted='person'"],
    "pull request": [TITLE, BRANCH],
    "forged": [TITLE, "planted='person'", "window.planted='html'", "javascript:window.planted"],
}


def planted(page: Page) -> object:
    return page.evaluate("() => window.planted ?? ({}).planted ?? document.querySelectorAll('main img, main script, main iframe, main b').length")


@pytest.mark.parametrize("name", PAGES)
def test_p6_p15_u5_what_others_wrote_is_text_and_does_nothing(visit: Callable[..., Visit], hostile: Hostile, name: str) -> None:
    page = visit().open(PAGES[name].format(**vars(hostile)))
    looks.settle(page)
    assert planted(page) == 0
    # No mark-up was made of it, it does not turn what stands around it, and no address of it can be followed.
    assert turned(page) == []
    assert page.locator("a[href^='javascript:' i], a[href^='data:' i]").count() == 0
    text = page.get_by_role("main").inner_text()
    for words in SHOWN.get(name, []):
        assert words in text, words


def turned(page: Page) -> list[str]:
    """Texts that turn the direction of what follows them in their line: nothing isolates them."""
    return list(
        page.evaluate(
            """() => {
                const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
                const found = [];
                while (texts.nextNode()) {
                    const { textContent, parentElement } = texts.currentNode;
                    if (!/[\\u202a-\\u202e\\u2066-\\u2069]/.test(textContent)) continue;
                    const { unicodeBidi, display } = getComputedStyle(parentElement);
                    const isAlone = display !== "inline" && parentElement.childNodes.length === 1;
                    if (!/isolate|plaintext/.test(unicodeBidi) && !isAlone) found.push(parentElement.outerHTML.slice(0, 200));
                }
                return found;
            }"""
        )
    )


def test_the_form_s_preview_shows_hostile_summaries_as_text(visit: Callable[..., Visit], hostile: Hostile) -> None:
    page = visit().open("/stacks/-/new")
    forms.picked(page, INTEGRATION)
    preview = page.get_by_role("list", name="Deliveries, newest first")
    expect(preview.get_by_role("link").filter(has_text=BRANCH).first).to_be_visible()
    expect(preview.get_by_role("link").filter(has_text=TITLE[:30]).first).to_be_visible()
    assert planted(page) == 0
    assert turned(page) == []
    # The branch itself is one of the repository's.
    box = page.get_by_role("combobox", name="Branch")
    box.fill("feature/<img")
    page.get_by_role("option").filter(has_text=BRANCH).click()
    expect(box).to_have_value(BRANCH)
    assert planted(page) == 0


def test_p6_p15_the_payload_is_searched_and_shown_as_text(visit: Callable[..., Visit], hostile: Hostile) -> None:
    page = visit().open(f"/deliveries/{hostile.forged}")
    payload = page.get_by_role("region", name="The payload")
    expect(payload).to_contain_text("window.planted='html'")
    page.get_by_label("Search in the payload").fill("<img src=http")
    expect(page.get_by_role("main")).to_contain_text("1 of 3")
    # What cannot be seen is shown by its number.
    expect(payload).to_contain_text("\\u202e")
    expect(payload).to_contain_text("\\u001b[31m")
    assert planted(page) == 0


@pytest.mark.parametrize("address", [ADDRESS, "JaVaScRiPt:window.planted=1", "data:text/html,<script>1</script>", "//evil.example/", "https://user:password@evil.example/", " javascript:alert(1)"])
def test_u5_an_executor_s_address_is_no_link_unless_it_is_one_of_the_web(visit: Callable[..., Visit], world: World, hostile: Hostile, address: str) -> None:
    """`runs` refuses such addresses; were one there all the same, the page would not follow it."""
    page = visit().open()

    def other(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "targetUrl": address})

    page.route(f"**/api/runs/runs/{hostile.run}", other)
    page.goto(f"{page.url.rstrip('/')}/runs/{hostile.run}")
    goes = page.get_by_role("region", name="How it goes")
    expect(goes).to_contain_text(address.strip())
    assert [it for it in goes.get_by_role("link").all() if (it.get_attribute("href") or "").strip().lower().startswith(("javascript", "data", "//", "https://user"))] == []
    goes.get_by_text(address.strip(), exact=True).first.click()
    assert planted(page) == 0


@pytest.mark.parametrize("word", ["constructor", "__proto__", "toString"])
def test_a_type_or_a_state_that_is_called_as_what_every_object_has_is_shown_as_it_is(visit: Callable[..., Visit], hostile: Hostile, word: str) -> None:
    page = visit().open()

    def other(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "eventType": word, "outcome": word})

    page.route(f"**/api/deliveries/deliveries/{hostile.forged}", other)
    page.goto(f"{page.url.rstrip('/')}/deliveries/{hostile.forged}")
    expect(page.get_by_role("region", name="What became of it").locator(".badge").first).to_have_text(word)
    expect(page.get_by_role("region", name="What came")).to_contain_text(f"{word} {word}")


def test_addresses_with_hostile_parts_are_no_more_than_pages_that_are_not_there(visit: Callable[..., Visit]) -> None:
    page = visit().open()
    origin = page.url.rstrip("/")
    for path in ("/integrations/%3Cimg%20src=x%20onerror=window.planted=1%3E", "/stacks/..%2F..%2Fsession", "/deliveries/%E0%A4%A", "/runs/%00", "/deliveries?integration=%3Cscript%3E&outcome=__proto__&time=x&from=y"):
        page.goto(origin + path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        looks.settle(page)
        assert planted(page) == 0
