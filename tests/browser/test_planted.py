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


PLANTS = {
    "label": "main.append(Object.assign(document.createElement('input'), { type: 'text' }))",
    "button-name": "main.append(document.createElement('button'))",
    "color-contrast": """
        const faint = document.createElement('p');
        faint.textContent = 'faint';
        faint.style.cssText = 'color: #888; background: #999';
        main.append(faint);
    """,
    "target-size": """
        const both = document.createElement('div');
        for (let at = 0; at < 2; at += 1) {
            const small = document.createElement('button');
            small.textContent = '.';
            small.style.cssText = 'all: unset; display: block; width: 9px; height: 9px; overflow: hidden';
            both.append(small);
        }
        main.append(both);
    """,
}


@pytest.mark.parametrize("rule", PLANTS)
def test_axe_finds_what_is_planted(page: Page, rule: str) -> None:
    assert looks.faults(page) == []
    page.evaluate(f"() => {{ const main = document.querySelector('main'); {PLANTS[rule]} }}")
    assert any(it.startswith(rule) for it in looks.faults(page))


def test_what_is_too_wide_is_found(page: Page) -> None:
    assert looks.too_wide(page) == []
    page.evaluate(
        """() => {
            const wide = document.createElement('p');
            wide.textContent = 'x'.repeat(200);
            wide.style.cssText = 'white-space: pre; overflow-wrap: normal';
            document.querySelector('main').append(wide);
        }"""
    )
    assert looks.too_wide(page)


def test_a_jump_is_measured(page: Page) -> None:
    assert looks.shift(page) < looks.MOST_SHIFT
    page.evaluate("() => { const p = document.createElement('p'); p.style.setProperty('height', '500px'); document.body.prepend(p) }")
    page.wait_for_timeout(100)
    assert looks.shift(page) >= looks.MOST_SHIFT


@pytest.mark.parametrize(
    "script",
    [
        "alert('planted')",
        "console.error('planted')",
        "setTimeout(() => { throw new Error('planted') })",
        "fetch('http://127.0.0.1:9/planted').catch(() => {})",
        "fetch('/assets/none?SECRET').catch(() => {})",
    ],
)
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
