from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from noisyclean.data.encodings import Encoding, decode_text

TEXT = "path,label\na.png,chät\n"


@pytest.mark.parametrize(
    ("mark", "codec"), [(codecs.BOM_UTF16_BE, "utf-16-be"), (codecs.BOM_UTF16_LE, "utf-16-le"), (b"", "utf-16-le")]
)
def test_the_mark_says_which_utf_16_was_asked_for(mark: bytes, codec: str) -> None:
    raw = mark + TEXT.encode(codec)
    text, found = decode_text(raw, Path("labels.csv"), "utf-16")
    assert (text, found) == (TEXT, Encoding(codec, mark))
    assert found.encode(text) == raw
