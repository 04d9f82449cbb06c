"""What can be measured of how a page looks: what axe-core finds, what jumps, what does not fit, and its picture."""

from __future__ import annotations

from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

PICTURES = Path(__file__).resolve().parents[2] / ".local" / "screenshots"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OF_SIZE = ["target-size", "scrollable-region-focusable", "color-contrast"]  # what the room that there is can change
NARROW = 360
TALLEST_ELSE = 1000
TALLEST = {"stack-form": 1350}  # what it would have run on stands below the form
MOST_SHIFT = 0.1  # what Core Web Vitals call good


def faults(page: Page, only: list[str] | None = None) -> list[str]:
    """What axe-core finds, by `only` some rules or by all."""
    run = {"type": "rule", "values": only} if only else {"type": "tag", "values": TAGS}
    # Of WCAG 2.2, and not on by itself.
    rules = {} if only else {"target-size": {"enabled": True}}
    found = Axe().run(page, options={"runOnly": run, "rules": rules, "resultTypes": ["violations"]})
    return [
        f"{violation['id']}: {node['target']} {node.get('failureSummary', '')}" for violation in found.response["violations"] for node in violation["nodes"]
    ]


def settle(page: Page) -> None:
    """Until nothing is on its way to the page."""
    page.wait_for_load_state("networkidle")


def shift(page: Page) -> float:
    """By how much of the page things have jumped since it was opened, without anybody doing anything."""
    return float(
        page.evaluate(
            """() => new Promise((resolve) => {
                let sum = 0;
                new PerformanceObserver((list) => {
                    for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value;
                }).observe({ type: "layout-shift", buffered: true });
                // What is buffered comes with the next frames.
                requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => resolve(sum), 0)));
            })"""
        )
    )


def jumps(page: Page) -> list[str]:
    return [f"things have jumped by {moved:.3f}"] if (moved := shift(page)) >= MOST_SHIFT else []


def too_wide(page: Page) -> list[str]:
    """What makes the page scroll sideways."""
    return list(
        page.evaluate(
            """() => {
                const width = document.documentElement.clientWidth;
                if (document.documentElement.scrollWidth <= width && document.body.scrollWidth <= width) return [];
                const wide = [...document.querySelectorAll("body *")].filter((it) => it.getBoundingClientRect().right > width + 1);
                return [`${document.documentElement.scrollWidth} px`, ...wide.slice(-5).map((it) => it.outerHTML.slice(0, 120))];
            }"""
        )
    )


def draw(page: Page, name: str) -> None:
    """Its picture, as on a screen that is as tall as the page, within reason."""
    usual = page.viewport_size
    assert usual is not None
    PICTURES.mkdir(parents=True, exist_ok=True)
    height = int(page.evaluate("document.documentElement.scrollHeight"))
    page.set_viewport_size({"width": usual["width"], "height": max(usual["height"], min(height, TALLEST.get(name.removesuffix("-dark"), TALLEST_ELSE)))})
    page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")
    page.set_viewport_size(usual)


def examine(page: Page, name: str | None = None, *, again: bool = True) -> None:
    """A page that is shown, in the light: all of the above, in both themes and where it is narrow. With a name its pictures are kept.
    It is opened `again` where it is narrow, to see what jumps there."""
    settle(page)
    found = jumps(page)
    usual = page.viewport_size
    assert usual is not None
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        found += [f"{theme}: {it}" for it in faults(page)]
        if name:
            draw(page, name if theme == "light" else f"{name}-dark")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": NARROW, "height": 780})
    found += [f"{NARROW} px: {it}" for it in [*too_wide(page), *faults(page, OF_SIZE)]]
    if name:
        draw(page, f"{name}-{NARROW}")
    if again:
        page.reload()
        settle(page)
        found += [f"{NARROW} px: {it}" for it in jumps(page)]
    page.set_viewport_size(usual)
    assert not found, "\n".join(found)
