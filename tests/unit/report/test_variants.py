import numpy as np

from weft.report.variants import MISSING, number, signed


def test_numbers_have_as_many_digits_as_say_something():
    said = [number(x) for x in (0.12345, -3.0, 138.44444, -104.968, 54321.0, np.nan)]
    assert said == ["0.1235", "−3.0000", "138.44", "−104.97", "54321.0", MISSING]
    assert number(0.98765, 3) == "0.988"
    assert [signed(x) for x in (0.5, -0.5, 12.34567, np.inf)] == ["+0.5000", "−0.5000", "+12.346", MISSING]
