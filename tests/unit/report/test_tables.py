import pandas as pd
import pytest

from weft.report.tables import format_number, table_html


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.97312, "0.9731"),
        (-0.5, "\u22120.5000"),
        (12.3456, "12.35"),
        (1234.5, "1\u2009234" if round(1234.5) == 1234 else "1\u2009235"),
        (1234567, "1\u2009234\u2009567"),
        (0.0, "0.0000"),
        (2.5e-6, "2.5e\u221206"),
        (float("nan"), "–"),
        (None, "–"),
        (pd.NA, "–"),
        ("track", "track"),
        (True, "True"),
    ],
)
def test_numbers_as_a_reader_wants_them(value, text):
    assert format_number(value) == text


def test_cells_are_escaped_and_sort_by_value():
    frame = pd.DataFrame({"a <b>": ["x & y", "<script>"], "n": [1234.0, None]})
    html = table_html(frame, 'cap "&"')
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "x &amp; y" in html
    assert "a &lt;b&gt;" in html
    assert 'data-value="1234.0">1\u2009234<' in html
    assert 'data-value="">–<' in html
    assert "cap &#34;&amp;&#34;" in html


def test_classes_carry_their_color():
    html = table_html(pd.DataFrame({"class": ["Michel", "other"]}))
    assert html.count('class="swatch"') == 1
    assert "#cc79a7" in html


def test_a_named_index_is_a_column():
    frame = pd.DataFrame({"n": [1]}, index=pd.Index(["track"], name="class"))
    assert '<th scope="row"><span' in table_html(frame)
    assert "class</button>" in table_html(frame)


def test_texts_that_begin_with_a_number_sort_as_numbers():
    frame = pd.DataFrame(
        {
            "a": ["0.9731 ± 0.0012", "\u22120.1000 ± 0.2"],
            "b": ["+0.1 [0.0, 0.2]", "–"],
            "c": ["10 cm", "x"],
            "d": ["–", "–"],
            "e": ["2026-01-01", "2026-01-02"],
            "f": ["0.973 ± 0.001 / 0.9", "– / –"],
        }
    )
    html = table_html(frame)
    assert 'data-value="0.9731">0.9731\u00a0±\u00a00.0012<' in html
    assert 'data-value="-0.1"' in html
    assert 'data-value="0.1">+0.1 [0.0,\u00a00.2]<' in html
    assert 'data-value="0.973">0.973\u00a0±\u00a00.001\u00a0/ 0.9<' in html
    assert html.count('class="number"') == 3 + 6


def test_intervals_are_not_broken_in_a_column_of_their_own():
    html = table_html(pd.DataFrame({"metric": ["a, b"], "95 % interval": ["[\u22120.1, 0.2]"]}))
    assert "[\u22120.1,\u00a00.2]" in html
    assert "a, b" in html
