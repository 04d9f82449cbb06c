"""The measures see what they are there to see: each fault, planted into a page that has none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

import looks
from visits import Visit


@pytest.fixture
def page(visit: Callable[..., Visit]) -> Page:
    return visit(width=looks.NARROW).open("/no/such/page")


@pytest.mark.parametrize(
    ("rule", "script"),
    [
        ("label", "main.append(Object.assign(document.createElement('input'), { type: 'text' }))"),
        ("button-name", "main.append(document.createElement('button'))"),
        ("color-contrast", "const p = document.createElement('p'); p.textContent = 'faint'; p.style.setProperty('color', '#888'); p.style.setProperty('background', '#999'); main.append(p)"),
        ("target-size", "const both = document.createElement('div'); for (let at = 0; at < 2; at += 1) { const b = document.createElement('button'); b.textContent = '.'; b.style.cssText = 'all: unset; display: block; width: 9px; height: 9px; overflow: hidden'; both.append(b); } main.append(both)"),
    ],
)
def test_axe_finds_what_is_planted(page: Page, rule: str, script: str) -> None:
    assert looks.faults(page) == []
    page.evaluate(f"() => {{ const main = document.querySelector('main'); {script} }}")
    assert any(it.startswith(rule) for it in looks.faults(page))


def test_what_is_too_wide_is_found(page: Page) -> None:
    assert looks.too_wide(page) == []
    page.evaluate("() => { const p = document.createElement('p'); p.textContent = 'x'.repeat(200); p.style.setProperty('white-space', 'pre'); p.style.setProperty('overflow-wrap', 'normal'); document.querySelector('main').append(p) }")
    assert looks.too_wide(page)


def test_a_jump_is_measured(page: Page) -> None:
    assert looks.shift(page) < looks.MOST_SHIFT
    page.evaluate("() => { const p = document.createElement('p'); p.style.setProperty('height', '500px'); document.body.prepend(p) }")
    page.wait_for_timeout(100)
    assert looks.shift(page) >= looks.MOST_SHIFT


@pytest.mark.parametrize("script", ["alert('planted')", "console.error('planted')", "setTimeout(() => { throw new Error('planted') })", "fetch('http://127.0.0.1:9/planted').catch(() => {})", "fetch('/assets/none?SECRET').catch(() => {})"])
def test_a_visit_notices(visit: Callable[..., Visit], script: str) -> None:
    visitor = visit()
    page = visitor.open("/no/such/page")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    visitor.check({"SECRET"})
    page.evaluate(f"() => {{ {script} }}")
    page.wait_for_timeout(100)
    with pytest.raises(AssertionError):
        visitor.check({"SECRET"})
    visitor.forget()
