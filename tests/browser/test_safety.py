"""Who may call the console, and what a page of it may do."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from consoles import Console
from visits import Visit
from world import World

TOKEN = "x-stackhook-console"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: str

    @property
    def kind(self) -> str:
        """Of the console's own problems."""
        return str(json.loads(self.body)["type"]).removeprefix("urn:stackhook:console:")


def ask(console: Console, method: str, path: str, headers: dict[str, str] | None = None, body: str | None = None) -> Answer:
    """As any program of this machine can: with headers that no browser would let a page send."""
    connection = http.client.HTTPConnection("127.0.0.1", console.port, timeout=60)
    connection.putrequest(method, path, skip_host="Host" in (headers or {}), skip_accept_encoding=True)
    for name, value in (headers or {}).items():
        connection.putheader(name, value)
    if body is not None:
        connection.putheader("content-length", str(len(body)))
    connection.endheaders(body.encode() if body is not None else None)
    answer = connection.getresponse()
    seen = Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode())
    connection.close()
    return seen


def session(console: Console) -> dict[str, str]:
    """The header of a session."""
    answer = ask(console, "POST", "/session", {"content-type": "application/json"}, json.dumps({"code": console.code()}))
    assert answer.status == 200
    return {TOKEN: json.loads(answer.body)["token"]}


def test_without_a_session_the_page_says_to_open_the_link_and_calls_nothing(visit: Callable[..., Visit], console: Console) -> None:
    visitor = visit()
    page = visitor.context.new_page()
    for path in ("/", "/integrations", "/stacks/-/new", "/deliveries"):
        page.goto(console.url + path)
        expect(page.get_by_role("heading", level=1)).to_have_text("Open the link from the terminal")
    assert not [it for it in visitor.asked if "/api/" in it or it.endswith("/session")]
    # The link is then opened in the very tab that asks for it: nothing but the fragment changes.
    page.goto(f"{console.url}/deliveries#{console.code()}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Deliveries")
    assert page.evaluate("location.hash") == ""


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/console", None),
        ("GET", "/api/setup/integrations", None),
        ("GET", "/api/deliveries/deliveries", None),
        ("POST", "/api/stacks/stacks", "{}"),
        ("DELETE", "/api/unlink/integrations/tidewater", None),
    ],
)
def test_u6_no_call_succeeds_without_a_session(console: Console, method: str, path: str, body: str | None) -> None:
    typed = {"content-type": "application/json"} if body else {}
    for token in ({}, {TOKEN: ""}, {TOKEN: "x" * 43}):
        answer = ask(console, method, path, {**typed, **token}, body)
        assert (answer.status, answer.kind) == (401, "no-session")


def test_a_link_works_once(visit: Callable[..., Visit], console: Console) -> None:
    visitor = visit()
    first = visitor.context.new_page()
    link = f"{console.url}/#{console.code()}"
    first.goto(link)
    expect(first.get_by_role("navigation", name="Main")).to_be_visible()
    expect(first.get_by_role("heading", level=1)).to_have_text("Home")
    assert first.evaluate("location.hash") == ""
    other = visit().context.new_page()
    other.goto(link)
    expect(other.get_by_role("heading", level=1)).to_have_text("Open the link from the terminal")
    expect(other.get_by_role("main")).to_contain_text("newest link")
    # Who has opened it goes on, and need not care if the terminal's link is opened once more.
    first.reload()
    expect(first.get_by_role("heading", level=1)).to_have_text("Home")
    first.goto(link)
    expect(first.get_by_role("heading", level=1)).to_have_text("Home")


def test_a_link_that_is_pasted_into_a_tab_of_the_console_is_taken(visit: Callable[..., Visit], console: Console) -> None:
    """Nothing but the fragment is another one then, so that the browser loads nothing."""
    page = visit().context.new_page()
    heading = page.get_by_role("heading", level=1)
    page.goto(f"{console.url}/")
    expect(heading).to_have_text("Open the link from the terminal")
    page.goto(f"{console.url}/#{console.code()}")
    expect(heading).to_have_text("Home")
    assert page.evaluate("location.hash") == ""
    # Who has a session already leaves none of it in the address, either.
    page.goto(f"{console.url}/#{console.code()}")
    expect(heading).to_have_text("Home")
    page.wait_for_function("location.hash === ''")


def test_the_code_is_in_no_address_that_was_asked_for(visit: Callable[..., Visit], console: Console) -> None:
    visitor = visit()
    page = visitor.context.new_page()
    code = console.code()
    # Chromium tells of a page's fragment with its request, but sends it nowhere: so what is looked at is what was sent.
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url if not request.is_navigation_request() else request.url.partition("#")[0]))
    page.on("request", lambda request: sent.append(request.headers.get("referer", "")))
    page.goto(f"{console.url}/stacks#{code}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Stacks")
    assert sent
    assert not [it for it in sent if code in it]
    page.go_back()
    assert code not in page.url


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.nip.io:{port}", "[::1]:{port}", ""])
def test_u6_another_host_is_refused(console: Console, host: str) -> None:
    right = session(console)
    for path in ("/", "/assets/app.js", "/api/console", "/api/setup/integrations"):
        answer = ask(console, "GET", path, {**right, "Host": host.format(port=console.port)})
        assert answer.status in (400, 403), path
        if answer.status == 403:
            assert answer.kind == "wrong-host"


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1", "http://localhost.evil.example:{port}"])
def test_u6_another_origin_is_refused(console: Console, origin: str) -> None:
    headers = {**session(console), "origin": origin.format(port=console.port)}
    assert ask(console, "GET", "/api/console", headers).kind == "wrong-origin"
    answer = ask(console, "POST", "/api/setup/integrations", {**headers, "content-type": "application/json"}, "{}")
    assert (answer.status, answer.kind) == (403, "wrong-origin")
    answer = ask(console, "POST", "/session", {"origin": origin.format(port=console.port), "content-type": "application/json"}, '{"code": ""}')
    assert (answer.status, answer.kind) == (403, "wrong-origin")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_u6_what_another_site_s_page_asks_for_is_refused(console: Console, site: str) -> None:
    answer = ask(console, "GET", "/api/console", {**session(console), "sec-fetch-site": site})
    assert (answer.status, answer.kind) == (403, "wrong-origin")


@pytest.mark.parametrize("typed", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_u6_u11_a_body_that_a_form_can_send_is_refused(console: Console, typed: str) -> None:
    answer = ask(console, "POST", "/api/setup/integrations", {**session(console), "content-type": typed}, "{}")
    assert (answer.status, answer.kind) == (415, "not-json")


def test_u11_a_body_over_a_mebibyte_is_refused(console: Console) -> None:
    body = json.dumps({"name": "x" * 2**20})
    answer = ask(console, "POST", "/api/setup/integrations", {**session(console), "content-type": "application/json"}, body)
    assert (answer.status, answer.kind) == (413, "too-large")


def test_an_asset_is_a_file_of_the_page_and_nothing_else(console: Console) -> None:
    assert ask(console, "GET", "/assets/app.js").status == 200
    for path in ("/assets/../Cargo.toml", "/assets/%2e%2e/Cargo.toml", "/assets//etc/passwd", "/assets/..%2f..%2fsrc/main.rs", "/assets/", "/assets/parts"):
        answer = ask(console, "GET", path)
        assert answer.status in (400, 404), path


def test_no_function_but_those_of_the_contract_is_called(console: Console) -> None:
    right = session(console)
    for path in ("/api/webhook/tidewater", "/api/dispatch/", "/api/setup/../unlink/integrations", "/api/http://evil.example/", "/api//evil.example/"):
        assert ask(console, "GET", path, right).status in (400, 404), path


@pytest.mark.parametrize("path", ["/", "/integrations", "/no/such/page", "/assets/app.js", "/assets/style.css", "/api/console", "/api/setup/integrations", "/session"])
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_every_answer_is_kept_by_nobody_and_shown_in_no_other_page(console: Console, path: str, name: str) -> None:
    answer = ask(console, "GET", path, {**session(console), "Host": f"{name}:{console.port}"})
    origin = f"http://{name}:{console.port}"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in answer.headers
    assert "set-cookie" not in answer.headers
    policy = dict(it.strip().split(" ", 1) for it in answer.headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": f"{origin}/assets/",
        "style-src": f"{origin}/assets/",
        "img-src": f"{origin}/assets/",
        "connect-src": f"{origin}/api/ {origin}/session",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }


def test_a_path_that_is_no_page_is_404_and_says_so(visit: Callable[..., Visit], console: Console) -> None:
    assert ask(console, "GET", "/no/such/page").status == 404
    assert ask(console, "GET", "/integrations").status == 200
    page = visit().open("/no/such/page")
    expect(page.get_by_role("heading", level=1)).to_have_text("There is no such page")


def planted(page: Page) -> str:
    """What scripts that got into the page have done."""
    return str(page.evaluate("window.planted || ''"))


@pytest.fixture
def with_scripts_planted(visit: Callable[..., Visit], console: Console) -> Iterator[Callable[[str], Page]]:
    """The page as the console sends it, with more in its HTML: as if something had got in."""

    def open_with(html: str) -> Page:
        visitor = visit()
        visitor.expect("Content Security Policy")
        page = visitor.context.new_page()

        def more(route: Route) -> None:
            answer = route.fetch()
            route.fulfill(response=answer, body=answer.text().replace("</body>", f"{html}</body>"))

        page.route(f"{console.url}/", more)
        page.goto(f"{console.url}/#{console.code()}")
        expect(page.get_by_role("heading", level=1)).to_have_text("Home")
        return page

    yield open_with


@pytest.mark.parametrize(
    "html",
    [
        "<script>window.planted = 'inline'</script>",
        "<img src='/assets/none.png' onerror=\"window.planted = 'handler'\">",
        "<a id='bait' href=\"javascript:window.planted = 'address'\">x</a>",
        "<iframe srcdoc=\"<script>parent.planted = 'frame'</script>\"></iframe>",
    ],
)
def test_a_script_that_got_into_the_html_does_not_run(with_scripts_planted: Callable[[str], Page], html: str) -> None:
    page = with_scripts_planted(html)
    for bait in page.locator("#bait").all():
        bait.dispatch_event("click")
    page.wait_for_timeout(200)  # a handler runs when its picture has failed
    assert planted(page) == ""


def test_the_page_cannot_make_html_of_text(visit: Callable[..., Visit]) -> None:
    visitor = visit()
    visitor.expect("TrustedHTML")
    visitor.expect("Trusted Type")
    page = visitor.open()
    refused = page.evaluate("() => { try { document.createElement('p').innerHTML = '<b>x</b>'; return ''; } catch (error) { return error.name; } }")
    assert refused == "TypeError"


def test_the_page_cannot_ask_anybody_else(visit: Callable[..., Visit], world: World) -> None:
    visitor = visit()
    visitor.expect("Content Security Policy")
    visitor.expect("Refused to connect")
    page = visitor.open()
    simulator = world.ado["url"]
    assert page.evaluate("(url) => fetch(url).then(() => 'answered', () => 'refused')", simulator) == "refused"
    assert not [it for it in visitor.asked if urlsplit(it).port == urlsplit(simulator).port]
