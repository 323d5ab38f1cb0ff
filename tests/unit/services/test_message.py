"""What a message says, whatever stands in the ledger."""

from __future__ import annotations

import contextlib
import io
import math
import threading
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from services.alerts.message import compose
from services.alerts.message_facts import AlertView, facts_of
from services.alerts.message_kinds import SUBJECT_WORD
from services.alerts.message_plot import _panel, trend_png
from services.alerts.message_templates import KNOWN, load_templates
from services.core.errors import BadSettings

NOW = 1_795_232_434.0
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
DETAILS = st.dictionaries(
    st.sampled_from(("value", "limit", "unit", "parameter", "source", "trend", "limits", "other")), ANYTHING
)


def a_view(name: str = "housekeeping:vison:CCD1_T:high", **details: Any) -> AlertView:
    """An alert raised ten minutes ago."""
    return AlertView(name, 2, "CCD1_T is too warm", NOW - 600, 1, details)


@settings(max_examples=60)
@given(
    what=st.sampled_from(tuple(SUBJECT_WORD)),
    texts=st.tuples(st.text(), st.text(max_size=300), st.text(max_size=40), st.text(max_size=40)),
    details=DETAILS.map(lambda details: {key: value for key, value in details.items() if key != "trend"}),
)
def test_nothing_in_the_ledger_breaks_a_message(what: Any, texts: tuple[str, ...], details: dict[str, Any]) -> None:
    alert, words, person, site = texts
    message = compose(what, person, [AlertView(alert, 1, words, NOW - 60, 1, details)], site, None, NOW)
    assert message.subject.isprintable() and 0 < len(message.subject) <= 150
    assert all(char == "\n" or char.isprintable() for char in message.text)
    assert len(message.sms) <= 160


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)


@settings(max_examples=40)
@given(words=st.text(alphabet="<>&\"'a/=!- \n", max_size=60))
def test_words_never_become_html(words: str) -> None:
    def tags_of(text: str) -> list[str]:
        view = AlertView(f"x{text}", 2, f"m{text}", NOW, 1, {"value": f"v{text}", "unit": f"u{text}", "parameter": "p"})
        parser = _Tags()
        parser.feed(compose("raised", f"p{text}", [view], f"s{text}", "https://g.example/d?a=1&b=2", NOW).html)
        return parser.tags

    assert tags_of(words) == tags_of("")


def test_a_line_break_in_a_name_is_no_header() -> None:
    view = AlertView("disk:x\r\nBcc: eve@example.org", 1, "full\nBcc: eve@example.org", NOW)
    message = compose("raised", "anna", [view], "la\nsilla", None, NOW)
    assert message.subject == "[nightferry la silla] severity 1 raised: full Bcc: eve@example.org"


@pytest.mark.parametrize(
    ("value", "limit", "words"),
    [
        (-95.1, -100, "-95.1 C (limit -100 C)"),
        (-100.000004, -100.0, "-100.000004 C (limit -100 C)"),
        (math.nan, 3, "nan C (limit 3 C)"),
        ("CLOSED", "OPEN", "CLOSED C (limit OPEN C)"),
        (1.0, 1.0, "1 C (limit 1 C)"),
        (10**400, None, "1000000000000000000000000000000000000000 C"[:39] + "… C"),
        (None, 5, ""),
    ],
)
def test_value_and_limit_can_be_told_apart(value: Any, limit: Any, words: str) -> None:
    assert facts_of(a_view(value=value, limit=limit, unit="C")).reading == words


def test_a_message_leads_to_the_dashboard_of_its_parameter_and_time() -> None:
    views = [a_view(parameter="CCD 1&T", source="vison"), a_view("disk:archive")]
    one = compose("raised", "anna", views[:1], "lasilla", "https://g.example/d/x?orgId=1#top", NOW)
    two = compose("raised", "anna", views, "lasilla", "https://g.example/d/x?orgId=1#top", NOW)
    times = f"from={int(NOW - 4200) * 1000}&to={int(NOW) * 1000}#top"
    parameter = "&var-source=vison&var-parameter=CCD+1%26T"
    assert f"https://g.example/d/x?orgId=1&var-site=lasilla{parameter}&{times}" in one.text
    assert f"https://g.example/d/x?orgId=1&var-site=lasilla&{times}" in two.text


def test_a_group_is_told_the_gravest_first_and_counted() -> None:
    views = [AlertView(f"disk:d{index:02}", 1, f"disk {index} is full", NOW - index) for index in range(30)]
    message = compose("raised", "anna", [*views, a_view()], "lasilla", None, NOW)
    assert message.subject == "[nightferry lasilla] severity 2 raised: CCD1_T is too warm and 30 more"
    assert message.text.count("Acknowledge: ") == 20 and message.sms.startswith("lasilla S2 ALERT: ")


def test_who_is_told_that_it_is_over_is_not_asked_to_acknowledge() -> None:
    view = AlertView("disk:archive", 1, "full", NOW - 7200, resolved_at=NOW - 3600, acked_by="ben")
    message = compose("resolved", "anna", [view], "lasilla", None, NOW)
    assert "(1 h 0 min)" in message.text and "Acknowledged by ben" in message.text and "alerts ack" not in message.text


def test_the_plot_draws_what_there_is_of_a_trend() -> None:
    trend = [[NOW - 60 * index, value] for index, value in enumerate([1.0, None, "x", math.inf, 1e300, 2.5, True])]
    broken = [*trend, [1], None, [math.nan, 1.0], [-5, 1.0], [1e300, 1.0], ["a", 1.0]]
    facts = facts_of(
        a_view(trend=broken, parameter="$x_{1}$ \u6e29\u5ea6", limits={"warning_high": 2, "error_low": math.inf})
    )
    assert facts.times_s.shape == (7,) and np.isfinite(facts.values).sum() == 2 and facts.bands == {"warning_high": 2.0}
    png = trend_png([facts, facts], NOW)
    assert png is not None
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.format == "PNG" and picture.size == (896, 832)


def test_a_picture_leaves_no_open_file_for_the_thread_that_asked_for_it() -> None:
    # given a first picture, for which fonts are opened, and threads that each have a number of their own
    facts = facts_of(a_view(trend=[[NOW - 60 * index, float(index)] for index in range(5)]))
    trend_png([facts], NOW)
    before = open_fonts()
    threads = 2
    together = threading.Barrier(threads)

    def ask() -> None:
        together.wait(timeout=30)
        trend_png([facts], NOW)
        together.wait(timeout=60)

    # when all of them ask for one
    asking = [threading.Thread(target=ask) for _ in range(threads)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()

    # then no font is open once more (matplotlib keeps fonts by thread)
    assert before and open_fonts() == before


def open_fonts() -> list[str]:
    """Fonts that this process has open, each as often as it has."""
    names = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            names.append(str(link.readlink()))
    return sorted(name for name in names if name.endswith(".ttf"))


def test_the_time_of_the_plot_is_utc_and_has_its_date() -> None:
    axes = Figure().subplots()
    facts = facts_of(a_view(value=3.0, limit=2.0, parameter="T", trend=[[NOW - 600, 1.0], [NOW - 60, 3.0]]))
    _panel(axes, facts, NOW)
    assert axes.get_xlabel() == "2026-11-21 UTC"
    assert axes.xaxis.get_major_formatter().fmt == "%H:%M"
    assert axes.get_title(loc="left") == "T: 3"


def test_the_plot_has_a_line_at_every_limit_that_is_in_sight() -> None:
    axes = Figure().subplots()
    bands = {"warning_high": 1.5, "error_high": 1e6}
    facts = facts_of(a_view(value=3.0, limit=2.0, limits=bands, trend=[[NOW - 600, 1.0], [NOW - 60, 3.0]]))
    _panel(axes, facts, NOW)
    assert {line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == "--"} == {1.5, 2.0}


def test_no_trend_is_no_picture() -> None:
    for trend in (None, [], "x", [[NOW, None]], {"a": 1}):
        message = compose("raised", "anna", [a_view(trend=trend)], "lasilla", None, NOW)
        assert message.png is None and "cid:" not in message.html


TRENDS = {
    "values": st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=12),
    "limit": st.floats() | st.none(),
    "bands": st.dictionaries(st.sampled_from(("warning_low", "warning_high", "error_low", "error_high")), st.floats()),
}


def draw(values: list[float], limit: float | None, bands: dict[str, float]) -> None:
    """A picture of any numbers; a warning is an error."""
    trend = [[NOW - 10 * index, value] for index, value in enumerate(values)]
    trend_png([facts_of(a_view(trend=trend, limit=limit, limits=bands))], NOW)


@settings(max_examples=4)
@given(**TRENDS)
def test_any_trend_can_be_drawn(values: list[float], limit: float | None, bands: dict[str, float]) -> None:
    draw(values, limit, bands)


@pytest.mark.slow
@settings(max_examples=100)
@given(**TRENDS)
def test_any_of_many_trends_can_be_drawn(values: list[float], limit: float | None, bands: dict[str, float]) -> None:
    draw(values, limit, bands)


def test_a_rate_or_a_silence_is_no_value_of_the_plot() -> None:
    """The trend is in the parameter's unit, also where the limit that tripped is in another one."""
    rate = facts_of(a_view(value=23.1, limit=3.0, unit="degC/min", trend_unit="degC", trend=[[NOW, -75.0]]))
    assert rate.reading == "23.1 degC/min (limit 3 degC/min)" and (rate.trend_unit, rate.tripped) == ("degC", None)
    high = facts_of(a_view(value=-75.0, limit=-90.0, unit="degC", trend_unit="degC", trend=[[NOW, -75.0]]))
    assert (high.trend_unit, high.tripped) == ("degC", -90.0)


def test_what_is_no_parameter_is_told_by_a_name_that_says_who() -> None:
    silent = a_view("housekeeping:roe1:*:stale", value=120.2, limit=120.0, unit="s", source="roe1", parameter="*")
    message = compose("raised", "anna", [silent], "lasilla", "https://g.example/d/x", NOW)
    assert "raised: roe1 120.2 s (limit 120 s)" in message.subject and "ALERT: roe1 120.2 s" in message.sms
    assert "var-source=roe1" in message.text and "var-parameter" not in message.text
    beat = AlertView(
        "heartbeat:summit:silent",
        2,
        "summit has been silent for 104 s",
        NOW,
        1,
        {"value": 104.0, "limit": 40.0, "unit": "s"},
    )
    message = compose("raised", "anna", [beat], "lasilla", None, NOW)
    assert message.subject.endswith("raised: summit has been silent for 104 s")
    assert "ALERT: heartbeat:summit:silent 104 s limit 40 s" in message.sms


def test_a_site_may_put_its_own_template_in_place_of_one_of_ours(tmp_path: Path) -> None:
    (tmp_path / "subject.txt").write_text("$site/$what: $headline costs $$5")
    message = compose(
        "raised", "anna", [a_view(value=1, parameter="CCD1_T")], "lasilla", None, NOW, load_templates(tmp_path)
    )
    assert message.subject == "lasilla/raised: CCD1_T 1 costs $5"
    assert "Acknowledge: nightferry alerts ack" in message.text


def test_every_mistake_in_templates_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "mail.txt").write_text("$site\n${site.__class__} $nosuch\n")
    (tmp_path / "alert.txt").write_text("$label\n$dashboard\n")
    (tmp_path / "sms.txt").write_text("")
    with pytest.raises(BadSettings) as caught:
        load_templates(tmp_path)
    assert [mistake.split(": ")[0].removeprefix(f"{tmp_path}/") for mistake in caught.value.mistakes] == [
        "sms.txt",
        "mail.txt:2",
        "mail.txt:2",
        "alert.txt:2",
    ]
    with pytest.raises(BadSettings, match="expected a directory"):
        load_templates(tmp_path / "none")
    assert load_templates().by_name.keys() == KNOWN.keys()
