"""The report in a real browser: nothing is loaded, nothing runs that is not ours, and it serves everyone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hcl.extract.system.console import plain

pytest.importorskip("jinja2", reason="the report extra is not installed")

SCHEMES = ("light", "dark")
PICTURES = """
const done = arguments[arguments.length - 1];
const links = Array.from(document.querySelectorAll("image, img"), (each) => each.getAttribute("href") || each.src);
const load = (link) => { const image = new Image(); image.src = link; return image.decode().then(() => image.width); };
Promise.all(links.map(load)).then(done, (error) => done(String(error)));
"""
CONTRAST = """
const style = getComputedStyle(document.documentElement);
const light = (name) => {
  const hex = style.getPropertyValue(name).trim();
  const parts = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);
  const linear = parts.map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
};
const [low, high] = [light(arguments[0]), light("--paper")].sort((one, other) => one - other);
return (high + 0.05) / (low + 0.05);
"""
COLUMN = "return Array.from(arguments[0].tBodies[0].rows, (row) => row.cells[arguments[1]].innerText.trim())"


def find(browser: Any, selector: str) -> list[Any]:
    return list(browser.find_elements("css selector", selector))


def test_nothing_is_asked_for_and_the_console_is_silent(
    stands_alone: Callable[[Path], None], hostile_page: Path
) -> None:
    stands_alone(hostile_page)


def test_every_picture_loads(show: Callable[..., Any], hostile_page: Path) -> None:
    widths = show(hostile_page).execute_async_script(PICTURES)
    assert isinstance(widths, list) and len(widths) >= 3 * 4 and all(width > 20 for width in widths)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_phone_scrolls_tables_but_not_the_page(show: Callable[..., Any], hostile_page: Path, scheme: str) -> None:
    browser = show(hostile_page, width=360, scheme=scheme)
    assert browser.execute_script("return [innerWidth, document.documentElement.scrollWidth]") == [360, 360]
    wide = "return Array.from(document.querySelectorAll('.scroll'), (box) => box.scrollWidth > box.clientWidth)"
    assert any(browser.execute_script(wide))
    for details in find(browser, "details"):
        browser.execute_script("arguments[0].open = true", details)
    assert browser.execute_script("return document.documentElement.scrollWidth") == 360


def test_light_and_dark_differ_and_can_be_read(show: Callable[..., Any], hostile_page: Path) -> None:
    paper = []
    for scheme in SCHEMES:
        browser = show(hostile_page, scheme=scheme)
        paper.append(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
        for name in ("--ink", "--quiet", "--accent"):
            assert browser.execute_script(CONTRAST, name) >= 4.5, (scheme, name)
        for number in range(8):  # of curves and points
            assert browser.execute_script(CONTRAST, f"--c{number}") >= 3, (scheme, number)
    assert paper[0] != paper[1]


@pytest.mark.parametrize("press", ["click", "Enter"])
def test_tables_sort_by_click_and_by_key(show: Callable[..., Any], hostile_page: Path, press: str) -> None:
    browser = show(hostile_page)
    table = find(browser, "table.sortable")[0]
    head = table.find_elements("css selector", "thead th")[1]
    button = head.find_element("css selector", "button")
    as_written = browser.execute_script(COLUMN, table, 1)
    assert head.get_attribute("aria-sort") == "none"
    orders = {}
    for _ in range(2):
        browser.execute_script("arguments[0].focus()", button)
        button.click() if press == "click" else button.send_keys("\ue007")
        orders[head.get_attribute("aria-sort")] = list(map(float, browser.execute_script(COLUMN, table, 1)))
    numbers = sorted(map(float, as_written))
    assert orders == {"ascending": numbers, "descending": numbers[::-1]}


def test_sorting_by_another_column_takes_the_mark_along(show: Callable[..., Any], hostile_page: Path) -> None:
    browser = show(hostile_page)
    table = find(browser, "table.sortable")[0]
    heads = table.find_elements("css selector", "thead th")
    for head in heads[:2]:
        head.find_element("css selector", "button").click()
    assert [head.get_attribute("aria-sort") for head in heads[:2]] == ["none", "ascending"]


def test_the_keyboard_reaches_everything_and_is_seen(show: Callable[..., Any], hostile_page: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    browser, kinds = show(hostile_page), set()
    for _ in range(14):
        ActionChains(browser).send_keys("\ue004").perform()
        focused = browser.switch_to.active_element
        kinds.add(focused.tag_name)
        outline = browser.execute_script("return getComputedStyle(arguments[0]).outlineStyle", focused)
        assert outline not in ("none", ""), focused.tag_name
    assert {"a", "div", "button"} <= kinds


def test_hostile_names_are_text(show: Callable[..., Any], hostile_page: Path, hostile: tuple[str, ...]) -> None:
    from selenium.common.exceptions import NoAlertPresentException

    browser = show(hostile_page)
    novel = browser.execute_script(COLUMN, find(browser, "table.sortable")[1], 0)
    assert sorted(novel) == sorted(map(plain, hostile))
    assert browser.execute_script("return document.scripts.length") == 1
    assert not find(browser, "main img, main b, main i, main script, [onload], [onerror]")
    assert browser.execute_script("return document.title") == "run <i>: report"
    with pytest.raises(NoAlertPresentException):
        _ = browser.switch_to.alert.text


def test_the_policy_forbids_what_is_not_ours(show: Callable[..., Any], hostile_page: Path) -> None:
    """A script and a picture from elsewhere that were smuggled in would be refused."""
    browser = show(hostile_page)
    browser.execute_script(
        "const bad = document.createElement('script'); bad.textContent = 'window.ran = 1'; document.body.append(bad);"
        "const picture = new Image(); picture.src = 'http://127.0.0.1:9/x.png'; document.body.append(picture)"
    )
    assert browser.execute_script("return window.ran") is None
    refused = " ".join(entry["message"] for entry in browser.get_log("browser"))
    assert "script-src" in refused and "img-src" in refused
