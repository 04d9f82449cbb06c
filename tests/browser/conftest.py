"""One local stack, one console and one browser for all tests; a profile of its own for each."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Playwright, expect, sync_playwright

import consoles
from consoles import Console
from visits import Visit
from world import World, unique

# Nothing is there yet, then one integration from its beginning to its end, then the pictures of a stack that has what it should show.
# What the others leave behind is in nobody's way then.
FIRST = ["test_empty.py", "test_tour.py", "test_every_page.py"]
ROOT = Path(__file__).resolve().parents[2]

expect.set_options(timeout=20_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    item.stash.setdefault(REPORTS, {})[report.when] = report
    return report


REPORTS = pytest.StashKey[dict[str, pytest.TestReport]]()


@pytest.fixture(scope="session")
def world() -> World:
    return World(json.loads(Path(os.environ["STACKHOOK_STACK"]).read_text()))


@pytest.fixture(scope="session")
def console(world: World) -> Iterator[Console]:
    it = consoles.started(world.stack)
    yield it
    it.end()


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as it:
        yield it


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    # Chromium's sandbox does not work for root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    it = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=arguments)
    yield it
    it.close()


@pytest.fixture
def visit(browser: Browser, console: Console, world: World, request: pytest.FixtureRequest) -> Iterator[Callable[..., Visit]]:
    """Makes visits; whatever a test looks at, all of its visits are held to what must never happen. A failure leaves pictures."""
    made: list[Visit] = []

    def make(**options: Any) -> Visit:
        made.append(Visit(browser, console, **options))
        return made[-1]

    yield make
    reports = request.node.stash.get(REPORTS, {})
    failed = "call" in reports and reports["call"].failed
    try:
        if failed:
            _draw(made, request.node.name)
        else:
            for it in made:
                it.check(world.secrets)
    finally:
        for it in made:
            it.context.close()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses: of an integration, of a stack, of whatever the test needs."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower()).strip("-")
    return unique(words[:28].strip("-"))


def _draw(visits: list[Visit], name: str) -> None:
    name = re.sub(r"[^\w-]+", "-", name)
    folder = ROOT / ".local" / "browser" / "failures"
    folder.mkdir(parents=True, exist_ok=True)
    pages = [page for it in visits for page in it.context.pages]
    for number, page in enumerate(pages):
        page.screenshot(path=folder / f"{name}-{number}.png", full_page=True)
    print(f"pictures: {folder}/{name}-*.png")
