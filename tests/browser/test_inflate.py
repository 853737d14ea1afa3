import base64
import zlib

import numpy as np
import pytest

from weft.report.display import asset

pytestmark = pytest.mark.browser

RNG = np.random.default_rng(0)
INPUTS = {
    "nothing": b"",
    "one byte": b"a",
    "few": b"abcabcabc" * 3,
    "noise": RNG.bytes(100_000),
    "steps": np.cumsum(RNG.integers(0, 3, 40_000)).astype("<u2").tobytes(),
    "zeros": bytes(300_000),
    "far": (far := RNG.bytes(32_000)) + bytes(500) + far,
}
SETTINGS = {"stored": (0, zlib.Z_DEFAULT_STRATEGY), "fixed": (6, zlib.Z_FIXED), "dynamic": (9, zlib.Z_DEFAULT_STRATEGY)}
RUN = """([source, packed]) => {
  const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
  const plain = new Function(source + "; return inflate")()(bytes);
  let text = "";
  for (const byte of plain) text += String.fromCharCode(byte);
  return btoa(text);
}"""


@pytest.mark.parametrize("kind", SETTINGS)
def test_what_was_deflated_comes_back(browser, kind):
    level, strategy = SETTINGS[kind]
    page = browser.new_page()
    for name, plain in INPUTS.items():
        deflate = zlib.compressobj(level, wbits=-15, strategy=strategy)
        packed = deflate.compress(plain) + deflate.flush()
        back = page.evaluate(RUN, [str(asset("inflate.js")), base64.b64encode(packed).decode()])
        assert base64.b64decode(back) == plain, name
    page.close()
