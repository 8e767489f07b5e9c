"""The page in a real browser, without a network: it is drawn whole, and the browser has nothing to complain of."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ahc_server.report.html import draw_html
from tests import network_report_helpers
from tests.report_example import inventories, made
from tests.report_helpers import large

_NAMES = ("chromium", "chromium-browser", "google-chrome")
#: Nothing outside of this machine can be reached, not even by name.
_NO_NETWORK = (
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=127.0.0.1:9",
    "--disable-background-networking",
)


@pytest.fixture(scope="module")
def browser() -> str:
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no browser here (apt-get install chromium)")
    return found


def run(browser: str, folder: Path, page: str, *arguments: str) -> tuple[str, list[str]]:
    """What the browser prints, and what it has to say of the page itself (not of its own)."""
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8")
    ran = subprocess.run(
        [
            *(browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *_NO_NETWORK,
            *(f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--v=0"),
            *arguments,
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=folder,
    )
    return ran.stdout, [
        line for line in ran.stderr.splitlines() if "CONSOLE" in line and "source: file:" in line
    ]


def test_a_browser_draws_the_sheep_and_complains_of_nothing(browser: str, tmp_path: Path) -> None:
    dom, complaints = run(browser, tmp_path, draw_html(made(), inventories(), metrics=True), "--dump-dom")
    assert complaints == []
    assert "<title>n7: −59 %</title>" in dom and dom.count('class="sheep"') == 13
    assert len(re.findall(r'<path d="[^"]+" class="fail">', dom)) == 4, "n5, twice n7, and the legend"
    assert "<img" not in dom and "<script" not in dom


def test_what_a_node_smuggled_in_would_not_run(browser: str, tmp_path: Path) -> None:
    """Should escaping ever fail, the page's policy is the second wall: the browser itself says that it refuses."""
    smuggled = (
        "<script>document.title = 'taken'</script><img src='https://example.org/x.png'><p style='color:red'>"
    )
    page = draw_html(made()).replace("<body>", f"<body>{smuggled}")
    dom, complaints = run(browser, tmp_path, page, "--dump-dom")
    assert "<title>taken</title>" not in dom
    refused = "\n".join(complaints)
    assert all(word in refused for word in ("script", "image", "style")), complaints


@pytest.mark.parametrize(
    ("width", "scheme"), [(1200, 1), (390, 0)], ids=["wide and light", "narrow and dark"]
)
def test_a_large_page_is_painted(browser: str, tmp_path: Path, width: int, scheme: int) -> None:
    """As a picture: a page that is not drawn compresses to next to nothing."""
    shot = tmp_path / "page.png"
    page = draw_html(large(2000, 335, cores=48))
    _, complaints = run(
        browser,
        tmp_path,
        page,
        f"--window-size={width},1400",
        f"--blink-settings=preferredColorScheme={scheme}",
        f"--screenshot={shot}",
    )
    assert complaints == []
    assert shot.stat().st_size > 50_000


def test_a_browser_draws_the_network_and_complains_of_nothing(browser: str, tmp_path: Path) -> None:
    page = draw_html(network_report_helpers.fabric(), network_report_helpers.inventories())
    dom, complaints = run(browser, tmp_path, page, "--dump-dom")
    assert complaints == []
    assert dom.count('class="matrix"') == 2 and dom.count('class="uplink fail"') == 1
    assert "<title>n3 → n9: no connection</title>" in dom
