import pandas as pd
import pytest

from weft.report.figure import Figure


def test_a_figure_has_exactly_one_body():
    assert Figure("a", "A", "", svg="<svg/>").table is None
    with pytest.raises(ValueError, match=r"'a'.*has none"):
        Figure("a", "A", "")
    with pytest.raises(ValueError, match="svg, table"):
        Figure("a", "A", "", svg="<svg/>", table=pd.DataFrame())
