"""A person at the console: one browser profile, and what it must never do while somebody looks at a page."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request, WebError, expect

from consoles import Console

# How Chromium tells of an answer that is no success: the page shows those in words, and tests cause them.
ANSWERED = "Failed to load resource: the server responded with a status of"


class Visit:
    """Keeps account of all that its pages ask for and say."""

    def __init__(self, browser: Browser, console: Console, *, dark: bool = False, width: int = 1280, height: int = 900) -> None:
        self.console = console
        self.context: BrowserContext = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="UTC",
        )
        self.context.set_default_timeout(20_000)
        self.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.asked: list[str] = []
        self.posted: list[str] = []
        self.troubles: list[str] = []
        self.expected: list[str] = []
        self.context.on("request", self._request)
        self.context.on("console", self._message)
        self.context.on("dialog", self._dialog)
        self.context.on("weberror", self._error)

    def open(self, path: str = "/") -> Page:
        """A page in a tab of its own, opened with a link."""
        page = self.context.new_page()
        code = self.console.code()
        page.goto(f"{self.console.url}{path}#{code}")
        expect(page.get_by_role("heading", level=1)).not_to_have_text("Open the link from the terminal")
        return page

    def expect(self, words: str) -> None:
        """Lets a message with these words pass, in a test that brings it about."""
        self.expected.append(words)

    def forget(self) -> None:
        """What a test has planted."""
        self.asked.clear()
        self.troubles.clear()

    def check(self, secrets: set[str]) -> None:
        """What holds of every page at every time."""
        unexpected = [it for it in self.troubles if not any(words in it for words in self.expected)]
        assert not unexpected, f"pages said: {unexpected}"
        elsewhere = [it for it in self.asked if not it.startswith(f"{self.console.url}/")]
        assert not elsewhere, f"pages asked others: {elsewhere}"
        # Not shown: the failure's text would tell what is secret.
        told = sum(secret in it for it in self.asked for secret in secrets)
        assert told == 0, f"{told} addresses have a secret in them"

    def _request(self, request: Request) -> None:
        self.asked.append(request.url)
        if request.method == "POST":
            self.posted.append(request.url)

    def _message(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(ANSWERED):
            self.troubles.append(f"{message.type}: {message.text}")

    def _dialog(self, dialog: Dialog) -> None:
        self.troubles.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _error(self, error: WebError) -> None:
        self.troubles.append(f"error: {error.error}")


def kept(page: Page) -> dict[str, Any]:
    """All that the page holds where a script, an extension or the next person at the machine could read it."""
    return dict(
        page.evaluate(
            """() => ({
                html: document.documentElement.outerHTML,
                values: [...document.querySelectorAll("input, textarea, select")].map((it) => it.value),
                local: JSON.stringify({ ...localStorage }),
                session: JSON.stringify({ ...sessionStorage }),
                cookies: document.cookie,
                address: location.href,
                state: JSON.stringify(history.state),
            })"""
        )
    )
