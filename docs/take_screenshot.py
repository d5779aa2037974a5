"""Writes docs/report.png: the top of a page of the demo, in the browser of this machine.

Usage: python docs/take_screenshot.py PAGE
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-sync"]

WIDTH, HEIGHT = 1240, 860


def take(page: Path, out: Path) -> None:
    """Takes the picture, with the clock time hidden, so that the same page gives the same one."""
    browser_path = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser_path is None:
        sys.exit(f"no browser is installed ({', '.join(BROWSERS)}): run make browser as root")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
        shown = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        shown.goto(page.absolute().as_uri())
        shown.add_style_tag(content=".freshness div:last-child { visibility: hidden }")
        shown.screenshot(path=out)
        browser.close()


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(__file__).with_name("report.png"))
