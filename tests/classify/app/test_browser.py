"""The page in a real browser, as a person uses it: film, drop, see, correct; nothing leaves the machine."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HOSTILE = (
    "<script>alert(1)</script>",
    "\" onload=alert(2) '&amp;",
    "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",  # Hebrew
    "\U0001f938\u200d\u2640\ufe0f wheel",  # an emoji of four characters
)
TOKEN = "the+token+of+the+tests"
PATIENCE = 60  # seconds
DROP = """
const [zone, name, text] = arguments;
const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const given = new DataTransfer();
given.items.add(new File([bytes], name));
for (const kind of ["dragover", "drop"])
  zone.dispatchEvent(new DragEvent(kind, { dataTransfer: given, bubbles: true, cancelable: true }));
"""
PICTURES = """
const done = arguments[arguments.length - 1];
const links = Array.from(document.querySelectorAll("image, img"), (each) => each.getAttribute("href") || each.src);
const load = (link) => { const image = new Image(); image.src = link; return image.decode().then(() => image.width); };
Promise.all(links.map(load)).then(done, (error) => done(String(error)));
"""
WIDE = """
return Array.from(document.querySelectorAll("body *"))
  .filter((each) => !each.closest(".scroll") && each.getBoundingClientRect().right > 361)
  .map((each) => `${each.tagName} ${each.id} ${each.className}`);
"""
SLOW = """
const soon = window.fetch;
const late = (...given) => new Promise((done) => setTimeout(done, 1000)).then(() => soon(...given));
window.fetch = (address, given = {}) => (given.method === "POST" ? late : soon)(address, given);
"""
REACHED = """
const all = Array.from(document.querySelectorAll("a, button:not(:disabled), input, select, .scroll"));
return all.filter((each) => each.offsetParent && each.tabIndex < 0).length;
"""


class Person:
    """Somebody before the browser."""

    def __init__(self, browser: Any, served: Any) -> None:
        self.browser, self.served = browser, served

    def find(self, selector: str) -> Any:
        return self.browser.find_element("css selector", selector)

    def until(self, done: Callable[[], Any]) -> Any:
        from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
        from selenium.webdriver.support.ui import WebDriverWait

        ignored = (NoSuchElementException, StaleElementReferenceException)
        return WebDriverWait(self.browser, PATIENCE, 0.1, ignored_exceptions=ignored).until(lambda _: done())

    def settle(self) -> None:
        """Wait until all work is done and shown."""
        self.until(lambda: self.browser.execute_script("return document.body.dataset.busy") == "false")
        self.served.wait()
        shown = {name: self.find(f"#{name}").get_attribute("data-hash") for name in self.served.parts()}
        changed = json.loads(self.served.ask("GET", "/parts?" + "&".join(f"{a}={b}" for a, b in shown.items()))[1])
        if changed["parts"]:
            self.until(lambda: all(self.find(f"#{n}").get_attribute("data-hash") != shown[n] for n in changed["parts"]))

    def make_class(self, name: str) -> Any:
        field = self.find("#class-name")
        self.browser.execute_script("arguments[0].value = arguments[1]", field, name)  # letters beyond the keyboard
        field.send_keys("\ue007")
        return self.until(lambda: self.card(name))

    def card(self, name: str) -> Any:
        cards = self.browser.find_elements("css selector", ".card")
        return next((card for card in cards if card.get_attribute("data-label") == name), None)

    def drop(self, zone: Any, video: Path, name: str = "") -> None:
        text = base64.b64encode(video.read_bytes()).decode("ascii")
        self.browser.execute_script(DROP, zone, name or video.name, text)

    def choose(self, selector: str, video: Path) -> None:
        self.find(selector).send_keys(str(video))

    def asked(self) -> list[str]:
        """The addresses that were asked for since this was asked last."""
        events = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
        return [each["request"]["url"] for each in sent]

    def check_all_is_well(self) -> None:
        """Nothing was logged, nothing asked of others, every picture loads."""
        assert self.browser.get_log("browser") == []
        others = [url for url in self.asked() if not url.startswith((f"{self.served.address}/", "data:", "blob:"))]
        assert others == []
        widths = self.browser.execute_async_script(PICTURES)
        assert isinstance(widths, list) and all(width > 10 for width in widths), widths


@pytest.fixture
def person(show: Callable[..., Any], serve: Any) -> Callable[..., Person]:
    """A function that opens the printed address of a page."""

    def enter(served: Any = None, **window: Any) -> Person:
        served = served or serve()
        return Person(show(f"{served.address}/?token={TOKEN}", **window), served)

    return enter


def test_from_a_camera_to_an_answer_that_is_corrected(person: Callable[..., Person], small_videos: Path) -> None:
    one = person()
    assert one.browser.current_url == f"{one.served.address}/"  # the token is out of sight
    videos = {name: sorted((small_videos / "novel" / f"{name}2").iterdir()) for name in ("clap", "jump", "wave")}
    for name in ("clap", "jump"):
        one.make_class(name)
    for video in videos["clap"][:2]:
        one.drop(one.card("clap"), video)
    one.settle()
    one.choose("[data-label='jump'] input[type=file]", videos["jump"][0])
    one.settle()
    film_an_example(one, "jump")
    one.settle()
    support = one.served.workbench.state.support
    assert support.sizes == {"clap": 2, "jump": 2} and "jump/recording 1.webm" in support.videos.path

    one.drop(one.find("#ask .drop"), videos["wave"][0], "what is it.mp4")
    one.settle()
    answer = one.find("#answers article")
    said = answer.find_element("css selector", ".said").text
    wrong = "clap" if said == "jump" else "jump"
    assert "what is it.mp4" in answer.text and len(answer.find_elements("css selector", "image")) == 3 * 4
    answer.find_element("css selector", f"button[data-label='{wrong}']").click()
    one.settle()
    answer = one.find("#answers article")
    assert f"It is an example of {wrong}" in answer.text
    assert one.served.workbench.state.support.sizes[wrong] == 3
    assert "of 5 examples are recognised" in one.find("#selftest").text
    one.check_all_is_well()

    parts = ("#classes", "#answers", "#selftest")
    shown = [one.find(part).text for part in parts]
    one.browser.refresh()
    one.until(lambda: [one.find(part).text for part in parts] == shown)
    one.check_all_is_well()


def film_an_example(one: Person, label: str) -> None:
    from selenium.webdriver.support.ui import Select

    one.find("#camera").click()
    one.until(lambda: one.find("#record").is_enabled())
    Select(one.find("#target")).select_by_visible_text(f"an example of {label}")
    Select(one.find("#seconds")).select_by_visible_text("1")
    one.find("#record").click()
    one.until(lambda: one.find("#filming").text == "Recorded.")
    one.settle()  # the list of jobs moves the page: a click while it comes or goes may miss
    one.find("#camera").click()
    assert one.find("#problem").text == "" and not one.find("#preview").is_displayed()


def test_hostile_names_are_text(person: Callable[..., Person], serve: Any, small_videos: Path) -> None:
    one = person()
    videos = sorted((small_videos / "novel" / "clap2").iterdir())
    for name, video in zip(HOSTILE, videos, strict=True):
        one.drop(one.make_class(name), video, f"{name}.mp4")
    one.drop(one.find("#ask .drop"), small_videos / "novel" / "wave2" / "0.mp4", '"><img src=x onerror=alert(4)>.mp4')
    one.settle()
    assert one.served.workbench.state.support.class_names == tuple(sorted(HOSTILE))
    heads = [each.text for each in one.browser.find_elements("css selector", ".card h3 bdi")]
    assert heads == list(HOSTILE)
    rows = [each.text for each in one.browser.find_elements("css selector", "#answers tbody bdi")]
    assert sorted(rows) == sorted(HOSTILE)
    options = one.find("#target").text
    assert all(name in options for name in HOSTILE)
    assert one.browser.execute_script("return document.scripts.length") == 1
    one.check_all_is_well()


def test_mistakes_are_shown_and_go(person: Callable[..., Person], tmp_path: Path) -> None:
    one = person()
    one.make_class("wave")
    one.find("#class-name").send_keys("wave\ue007")
    one.until(lambda: "is there already" in one.find("#problem").text)
    broken, large = tmp_path / "broken.mp4", tmp_path / "large.mp4"
    broken.write_bytes(b"no video")
    large.write_bytes(bytes(2_000_001))
    one.choose("#question-files", large)
    one.until(lambda: "larger than 2 MB" in one.find("#problem").text)
    one.choose("#question-files", broken)
    one.until(lambda: "broken.mp4: cannot be read" in one.find("#jobs").text)
    one.find("#jobs button[data-action='dismiss']").click()
    one.until(lambda: "broken.mp4" not in one.find("#jobs").text)
    assert [each for each in one.browser.get_log("browser") if "/do/add-class" not in each["message"]] == []


def test_a_long_video_has_a_timeline(
    person: Callable[..., Person], small_videos: Path, tmp_path: Path, write_video: Any
) -> None:
    one = person()
    for name in ("clap", "jump"):
        one.served.add(name, *sorted((small_videos / "novel" / f"{name}2").iterdir())[:2])
    one.choose("#search-files", write_video(tmp_path / "long.mp4", frames=120))
    one.settle()
    found = one.served.workbench.state.searched[0].spotted
    article = one.find("#searched article")
    assert "long.mp4" in article.text and len(article.find_elements("css selector", "tbody tr")) == len(found.segments)
    assert len(article.find_elements("css selector", "rect.segment")) == len(found.segments)
    one.check_all_is_well()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it(person: Callable[..., Person], page: Any, small_videos: Path, scheme: str) -> None:
    if not page.workbench.state.questions:
        for name in ("clap", "a class with a name that is rather long for a phone"):
            page.add(name, *sorted((small_videos / "novel" / f"{'jump' if ' ' in name else name}2").iterdir())[:2])
        page.post("/upload/question", (small_videos / "novel/wave2/0.mp4").read_bytes(), name="a" * 100 + ".mp4")
    one = person(page, width=360, scheme=scheme)
    one.settle()
    assert one.browser.execute_script(WIDE) == []
    assert one.browser.execute_script("return [innerWidth, document.documentElement.scrollWidth]") == [360, 360]
    colour = one.browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (colour == "rgb(255, 255, 255)") == (scheme == "light")
    assert one.browser.execute_script(REACHED) == 0
    one.check_all_is_well()


def test_the_keyboard_makes_a_class_and_corrects(person: Callable[..., Person], page: Any, small_videos: Path) -> None:
    one = person(page)
    if not page.workbench.state.questions:
        page.add("clap", *sorted((small_videos / "novel" / "clap2").iterdir())[:2])
        page.post("/upload/question", (small_videos / "novel/wave2/0.mp4").read_bytes(), name="a.mp4")
    one.settle()
    one.find("#class-name").send_keys("by key\ue007")
    one.until(lambda: one.card("by key"))
    one.settle()
    button = one.find("#answers button[data-label='by key']")
    identity = button.get_attribute("id")
    one.browser.execute_script("arguments[0].focus()", button)
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    button.send_keys("\ue00d")  # space
    one.until(lambda: page.workbench.state.support.sizes.get("by key") == 1)
    one.settle()
    assert one.find(f"#{identity}").get_attribute("aria-pressed") == "true"
    one.browser.execute_script("document.getElementById('class-name').focus()")
    assert one.browser.execute_script(outline) == "solid"


def test_two_tabs_show_the_same(person: Callable[..., Person], page: Any, small_videos: Path) -> None:
    one = person(page)
    first = one.browser.current_window_handle
    one.browser.switch_to.new_window("tab")
    try:
        one.browser.get(f"{page.address}/")
        one.make_class("in the second tab")
        one.drop(one.card("in the second tab"), small_videos / "novel" / "jump2" / "3.mp4")
        one.settle()
    finally:
        one.browser.close()
        one.browser.switch_to.window(first)
    one.until(lambda: "in the second tab" in one.find("#classes").text and "1 clip" in one.find("#classes").text)


def test_without_the_token_there_is_nothing(show: Callable[..., Any], page: Any) -> None:
    browser = show("about:blank")
    browser.delete_all_cookies()
    browser.get(f"{page.address}/?token=wrong")
    assert "open the address that hcl app printed" in browser.page_source
    browser.get_log("browser")


def test_the_page_is_busy_until_what_was_asked_is_answered(person: Callable[..., Person], small_videos: Path) -> None:
    one = person()
    for name in ("clap", "jump"):
        one.served.add(name, *sorted((small_videos / "novel" / f"{name}2").iterdir())[:2])
    one.drop(one.find("#ask .drop"), small_videos / "novel" / "wave2" / "0.mp4")
    one.settle()
    one.browser.execute_script(SLOW)
    one.find("#answers button[data-label='jump']").click()
    one.settle()
    assert one.served.workbench.state.support.sizes == {"clap": 2, "jump": 3}
    assert "of 5 examples are recognised" in one.find("#selftest").text
