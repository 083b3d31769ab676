"""The dashboard's table of pauses: every text of an operator is escaped."""

from reengage.adapters.pause_widget import pauses_as_html

SINCE = "2031-03-19T15:00:00Z"


def test_a_pause_has_who_why_and_its_end() -> None:
    pause = {"brand": "acme", "scope": "marketing", "since": SINCE, "until": "2031-03-20T08:00:00Z", "why": "typo"}
    cells = ("acme", "marketing", SINCE, "2031-03-20T08:00:00Z", "typo")
    assert "".join(f"<td>{cell}</td>" for cell in cells) in pauses_as_html([pause])


def test_a_pause_without_a_brand_is_the_whole_stacks() -> None:
    html = pauses_as_html([{"scope": "all", "since": SINCE}])
    cells = ("the whole stack", "all", SINCE, "someone resumes it", "no reason given")
    assert "".join(f"<td>{cell}</td>" for cell in cells) in html


def test_the_reason_of_a_pause_is_escaped() -> None:
    html = pauses_as_html([{"scope": "all", "since": SINCE, "why": "<script>alert('x')</script> & \"more\""}])
    assert "<td>&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; &amp; &quot;more&quot;</td>" in html


def test_no_pause_is_a_sentence() -> None:
    assert pauses_as_html([]) == "<p>Nothing is paused: neither the stack nor a brand of Routes.</p>"
