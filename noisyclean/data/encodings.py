"""From the bytes of a table to its text, and back to the same bytes."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

from noisyclean.errors import DataError, UsageError

__all__ = ["LAST_GUESS", "Encoding", "decode_text"]

MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
"""Byte order marks and the codec each stands for."""
LAST_GUESS = "cp1252"
"""What a text is taken for that nothing shows the encoding of."""
SHOWN = {"utf-8": "UTF-8", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}
SNIFFED_BYTES = 1_000


@dataclass(frozen=True)
class Encoding:
    """How a text was stored."""

    codec: str
    """Python's name of it, without a mark."""
    mark: bytes = b""
    """The byte order mark before the text."""

    def __str__(self) -> str:
        return SHOWN.get(self.codec, self.codec) + (" with BOM" if self.mark == codecs.BOM_UTF8 else "")

    def encode(self, text: str) -> bytes:
        """The bytes of ``text``, mark included."""
        return self.mark + text.encode(self.codec)


def decode_text(raw: bytes, path: Path, asked: str | None = None) -> tuple[str, Encoding]:
    """Decode the content of a text file, its encoding found out unless it is given.

    A byte order mark decides; without one, UTF-16 shows by its zero bytes, text that is valid UTF-8 is UTF-8, and
    everything else is cp1252, what Windows and Excel write in western countries.

    Args:
        raw: The content.
        path: The file, for messages.
        asked: The user's word on it.

    Raises:
        DataError: The bytes are no text in any of these.
        UsageError: There is no encoding of the name asked for.
    """
    mark = next((mark for mark in MARKS if raw.startswith(mark)), b"")
    candidates = [_known(asked, mark)] if asked is not None else _guesses(raw, mark)
    for codec in candidates:
        own_mark = mark if codec == MARKS.get(mark) else b""
        try:
            text = raw[len(own_mark) :].decode(codec)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text, Encoding(codec, own_mark)
    tried = " or ".join(SHOWN.get(codec, codec) for codec in candidates)
    raise DataError(
        f"{path}: the text is not {tried}",
        hint="Name its encoding, for instance --encoding latin-1, or save it as UTF-8.",
    )


def _known(name: str, mark: bytes) -> str:
    """The codec of this name; which UTF-16 is meant is for the mark to say."""
    try:
        codec = codecs.lookup(name).name
    except LookupError as error:
        raise UsageError(
            f"--encoding {name}: there is no such encoding", hint="Try utf-8, utf-16, cp1252 or latin-1."
        ) from error
    marked = MARKS.get(mark, "utf-16-le")
    return {"utf-8-sig": "utf-8", "utf-16": marked if marked.startswith("utf-16") else "utf-16-le"}.get(codec, codec)


def _guesses(raw: bytes, mark: bytes) -> list[str]:
    if mark:
        return [MARKS[mark]]
    even, odd = raw[:SNIFFED_BYTES:2], raw[1:SNIFFED_BYTES:2]
    if odd and 2 * odd.count(0) > len(odd):
        return ["utf-16-le"]
    if even and 2 * even.count(0) > len(even):
        return ["utf-16-be"]
    return ["utf-8", LAST_GUESS]
