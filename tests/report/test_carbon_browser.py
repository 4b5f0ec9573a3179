"""The pages of a statement in a real browser: all is drawn, nothing overflows or lies on other text."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.carbon.cases import book, bought, factor, run, unmeasured

from aerogel.carbon.disclosure import Turnover
from aerogel.carbon.statement import Asked, statement
from aerogel.report import render
from aerogel.report.carbon import carbon_report
from aerogel.report.carbon_savings import savings_report

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed: apt-get install chromium"),
]

# Runs in the page: sizes that only a browser knows. Bounds lie on gridlines, names never on each other.
MEASURE = """
<script>
const box = (element) => element.getBoundingClientRect();
const all = (element, what) => [...element.querySelectorAll(what)];
const shown = all(document, 'svg[role=img]').filter((s) => box(s).width > 0);
const texts = (svg) => all(svg, 'text').map(box);
const meets = (a, b) => a.left < b.right - 1 && b.left < a.right - 1
  && a.top < b.bottom - 1 && b.top < a.bottom - 1;
const after = (boxes, i) => boxes.slice(i + 1).filter((b) => meets(boxes[i], b));
const clashes = shown.flatMap((s) => texts(s).flatMap((_, i) => after(texts(s), i))).length;
const beyond = (b, f) => b.left < f.left - 1 || b.right > f.right + 1 || b.bottom > f.bottom + 1;
const outside = shown.flatMap((s) => texts(s).filter((b) => beyond(b, box(s)))).length;
const found = {
  clashes,
  outside,
  width: document.documentElement.scrollWidth,
  window: window.innerWidth,
  shown: shown.length,
  bars: shown.flatMap((s) => all(s, 'g rect.solid')).filter((r) => box(r).width > 0.5).length,
  colour: getComputedStyle(document.body).color,
  requests: performance.getEntriesByType('resource').length,
};
document.title = 'measured ' + JSON.stringify(found);
</script>
"""


def pages() -> dict[str, str]:
    half = {"joules": 1.8e6, "low": 1.6e6, "high": 2e6, "units": 1000.0, "unit": "inference"}
    runs = [
        *(
            run(
                began=f"2026-{month:02d}-01T00:00:00Z",
                label=f"a nightly job with a long name, number {month}",
            )
            for month in range(1, 13)
        ),
        run(pair="minilm", role="dense", units=1000.0, unit="inference"),
        run(pair="minilm", role="sparse", **half),
        run(pair="minilm", role="cost", kind="pruning", flops_gross=1e18, flops_effective=2e17),
        bought(money=3.0, currency="EUR"),
        unmeasured(low=1e5, high=9e6),
        unmeasured(),
    ]
    asked = Asked(turnover=Turnover(1e7), yearly_units=1e9)
    found = statement(runs, book(factor("price/kwh", 0.2, "EUR/kWh")), asked)
    return {"inventory": render(carbon_report(found)), "savings": render(savings_report(found))}


def browse(page: Path, *options: str) -> str:
    assert BROWSER is not None
    words = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={page.parent}/u",
    ]
    done = subprocess.run(
        [BROWSER, *words, *options, page.as_uri()], capture_output=True, text=True, timeout=100, check=True
    )
    return done.stdout


def measured(html: str, folder: Path, width: int, *options: str) -> dict[str, Any]:
    page = folder / "measured.html"
    # The page's own policy forbids scripts; this copy has one.
    opened = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    page.write_text(opened.replace("</body>", f"{MEASURE}</body>"), encoding="utf-8")
    dom = browse(page, f"--window-size={width},2000", "--dump-dom", *options)
    said = re.search(r"<title>measured (\{.*?\})</title>", dom)
    assert said is not None, "the script ran"
    found: dict[str, Any] = json.loads(said[1].replace("&quot;", '"'))
    return found


@pytest.mark.parametrize("width", [1200, 500])
@pytest.mark.parametrize("name", ["inventory", "savings"])
def test_is_drawn_in_full_wide_and_narrow(name: str, width: int, tmp_path: Path) -> None:
    found = measured(pages()[name], tmp_path, width)
    assert found["width"] <= found["window"], "tables scroll in themselves, the page does not"
    assert found["shown"] == {"inventory": 3, "savings": 1}[name], "each picture once, in the size that fits"
    assert found["bars"] >= {"inventory": 12, "savings": 2}[name]
    assert found["clashes"] == 0 and found["outside"] == 0
    assert found["requests"] == 0, "it asks the network for nothing"


def test_is_readable_in_the_dark(tmp_path: Path) -> None:
    dark = measured(pages()["savings"], tmp_path, 1000, "--blink-settings=preferredColorScheme=0")
    light = measured(pages()["savings"], tmp_path, 1000, "--blink-settings=preferredColorScheme=1")
    assert dark["colour"] != light["colour"]


def test_prints_on_paper(tmp_path: Path) -> None:
    page, paper = tmp_path / "p.html", tmp_path / "p.pdf"
    page.write_text(pages()["inventory"], encoding="utf-8")
    browse(page, f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    content = paper.read_bytes()
    assert content.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page[^s]", content)) in range(3, 12)
