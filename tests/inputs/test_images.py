"""Images as they come, each through the command line."""

from __future__ import annotations

import io
import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from noisyclean.base.files import read_json
from noisyclean.data.decode import PixelMapping, decode
from tests.inputs.conftest import NAMES, Case, rows_of

SIZE = 32


def picture() -> Image.Image:
    """Red on the left, blue on the right, a green bar on top: every flip and every lost channel shows."""
    image = np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
    image[:, : SIZE // 2, 0], image[:, SIZE // 2 :, 2] = 220, 220
    image[: SIZE // 4, :, 1] = 220
    return Image.fromarray(image)


def turned(path: Path) -> None:
    """Stored on its side, with the EXIF note that says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture().rotate(90, expand=True).save(path, quality=95, exif=exif)


def sixteen_bits(path: Path, *, most: int = 65535) -> None:
    grey = np.asarray(picture().convert("L"), dtype=np.float64)
    Image.fromarray((grey / 255 * most).astype(np.uint16)).save(path)


def with_alpha(path: Path) -> None:
    image = picture().convert("RGBA")
    image.putalpha(Image.fromarray(np.full((SIZE, SIZE), 128, dtype=np.uint8)))
    image.save(path)


def moving(path: Path) -> None:
    others = [Image.new("RGB", (SIZE, SIZE), colour) for colour in ("white", "black")]
    picture().save(path, save_all=True, append_images=others)


FORMATS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "JPEG": ("x.jpg", lambda path: picture().save(path, quality=95)),
    "JPEG, turned by EXIF": ("x.jpg", turned),
    "JPEG, CMYK": ("x.jpg", lambda path: picture().convert("CMYK").save(path, quality=95)),
    "JPEG, progressive": ("x.jpg", lambda path: picture().save(path, quality=95, progressive=True)),
    "JPEG, grey": ("x.jpeg", lambda path: picture().convert("L").save(path, quality=95)),
    "JPEG under a wrong name": ("x.png", lambda path: picture().save(path, format="JPEG", quality=95)),
    "PNG": ("x.png", lambda path: picture().save(path)),
    "PNG, 16 bits": ("x.png", sixteen_bits),
    "PNG, palette": ("x.png", lambda path: picture().quantize(8).save(path)),
    "PNG, 1 bit": (
        "x.png",
        lambda path: picture().convert("L").point(lambda v: 255 * (v > 90)).convert("1").save(path),
    ),
    "PNG, alpha": ("x.png", with_alpha),
    "PNG, grey and alpha": ("x.png", lambda path: picture().convert("LA").save(path)),
    "WebP": ("x.webp", lambda path: picture().save(path, quality=95)),
    "TIFF": ("x.tif", lambda path: picture().save(path)),
    "TIFF, compressed": ("x.tiff", lambda path: picture().save(path, compression="tiff_lzw")),
    "BMP": ("x.bmp", lambda path: picture().save(path)),
    "GIF": ("x.gif", lambda path: picture().save(path)),
    "PPM": ("x.ppm", lambda path: picture().save(path)),
}
EXPECTED: dict[str, Callable[[], Image.Image]] = {
    "JPEG, grey": lambda: picture().convert("L").convert("RGB"),
    "PNG, 16 bits": lambda: picture().convert("L").convert("RGB"),
    "PNG, 1 bit": lambda: picture().convert("L").point(lambda v: 255 * (v > 90)).convert("RGB"),
    "PNG, alpha": lambda: Image.blend(Image.new("RGB", (SIZE, SIZE), "white"), picture(), 128 / 255),
    "PNG, grey and alpha": lambda: picture().convert("L").convert("RGB"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats_are_read_as_a_person_sees_them(case: Case, name: str) -> None:
    file, write = FORMATS[name]
    write(case.images / file)
    table = case.table(rows_of() + f"{file},cat\n")
    done = case.check(table)
    assert done.exit_code == 0, done.stderr
    pixels = decode(case.images / file, PixelMapping(size_px=SIZE)).image_HWI.astype(int)
    expected = np.asarray(EXPECTED.get(name, picture)()).astype(int)
    assert np.abs(pixels - expected).mean() < 12, name


def put(case: Case, name: str, content: bytes | None = None, write: Callable[[Path], None] | None = None) -> Path:
    """A table of all pictures and one more, which is written as told."""
    if content is not None:
        (case.images / name).write_bytes(content)
    if write is not None:
        write(case.images / name)
    return case.table(rows_of() + f"{name},cat\n")


def quarantine(case: Case) -> dict[str, str]:
    """Reason by image."""
    path = case.root / "run" / "quarantine.csv"
    if not path.exists():
        return {}
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    return dict(zip(frame["image_path"], frame["reason"], strict=True))


def pages(path: Path) -> None:
    picture().save(path, save_all=True, append_images=[ImageOps.mirror(picture())] * 2)


def bomb() -> bytes:
    """A small PNG that claims 60,000 x 60,000 pixels."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def cut_jpeg() -> bytes:
    content = io.BytesIO()
    picture().resize((256, 256)).save(content, format="JPEG")
    return content.getvalue()[: len(content.getvalue()) // 3]


@pytest.mark.parametrize(
    ("name", "content", "write", "reason"),
    [
        pytest.param("x.jpg", b"", None, "is empty (0 bytes)", id="empty file"),
        pytest.param("x.jpg", b"hello", None, "is not an image in a known format", id="text"),
        pytest.param("x.jpg", cut_jpeg(), None, "damaged or truncated", id="cut JPEG"),
        pytest.param("x.png", bomb(), None, "", id="decompression bomb"),
        pytest.param("x.tif", None, pages, "has 3 pages", id="TIFF of several pages"),
        pytest.param("x.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", None, "is not an image", id="SVG"),
    ],
)
def test_what_cannot_be_read_is_quarantined(
    case: Case, name: str, content: bytes | None, write: Callable[[Path], None] | None, reason: str
) -> None:
    table = put(case, name, content, write)
    done = case.audit(table)
    assert done.exit_code == 0, done.stderr
    assert "12 images ready, 1 rows in quarantine" in done.stderr
    assert list(quarantine(case)) == [name]
    assert reason in quarantine(case)[name]
    scores = pd.read_csv(case.root / "run" / "scores.csv", dtype=str, keep_default_na=False)
    assert scores["image_path"].tolist() == [*NAMES, name]
    assert scores["p_mislabeled"].iloc[-1] == ""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_no_file_is_never_opened(case: Case, kind: str) -> None:
    if kind == "pipe":
        os.mkfifo(case.images / "x.png")
    else:
        (case.images / "x.png").mkdir()
    assert case.audit(case.table(rows_of() + "x.png,cat\n")).exit_code == 0
    assert quarantine(case) == {"x.png": "is not a regular file" if kind == "pipe" else "file not found"}


def test_the_first_frame_of_a_gif_is_used_and_said(case: Case) -> None:
    table = put(case, "x.gif", write=moving)
    done = case.audit(table, "--json")
    assert "first of 3 frames used: x.gif" in done.stderr
    assert "first of 3 frames used: x.gif" in done.json["notes"]
    assert not quarantine(case)


def test_a_small_copy_inside_a_tiff_is_no_second_page(case: Case) -> None:
    from PIL.TiffImagePlugin import AppendingTiffWriter, ImageFileDirectory_v2

    path = case.images / "x.tif"
    directory = ImageFileDirectory_v2()
    directory[254] = 1
    with AppendingTiffWriter(path, new=True) as file:
        picture().save(file, format="TIFF")
        file.newFrame()
        picture().resize((8, 8)).save(file, format="TIFF", tiffinfo=directory)
    assert case.audit(case.table(rows_of() + "x.tif,cat\n")).exit_code == 0
    assert not quarantine(case)


def test_twelve_bits_in_a_file_of_sixteen(case: Case) -> None:
    for name in NAMES:
        sixteen_bits(case.images / name, most=4000)
    done = case.audit(case.table(rows_of()))
    assert done.exit_code == 0
    assert "12 bits a channel: the largest value in 12 deep images is" in done.stderr
    pixels = read_json(case.root / "run" / "model" / "config.json")["noisyclean"]["pixels"]
    assert pixels["window"] == [0.0, 4095.0]
    images = np.load(case.root / "run" / "prepare" / "images.npy")
    assert images.max() > 150


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
"""How every HEIC file begins."""


def test_heic_without_the_extra_is_told_before_work_starts(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("noisyclean.data.decode", "noisyclean.pipeline.preparing"):
        monkeypatch.setattr(f"{module}.can_read_heic", lambda: False)
    monkeypatch.setattr("noisyclean.data.decode._register_heic", lambda: False)
    done = case.audit(put(case, "x.HEIC", HEIC))
    said = done.stderr.index("1 images go to quarantine: HEIC needs an extra")
    assert said < done.stderr.index("images ready")
    assert "pip install 'noisyclean[heic]'" in quarantine(case)["x.HEIC"]


def test_heic_with_the_extra(case: Case) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    table = put(case, "x.heic", write=lambda path: picture().save(path, quality=90))
    assert case.audit(table).exit_code == 0
    assert not quarantine(case)
    pixels = decode(case.images / "x.heic", PixelMapping(size_px=SIZE)).image_HWI.astype(int)
    assert np.abs(pixels - np.asarray(picture()).astype(int)).mean() < 15


def test_no_readable_image_at_all(case: Case) -> None:
    for name in NAMES:
        (case.images / name).write_bytes(b"nothing")
    done = case.audit(case.table(rows_of()), "--max-bad", "1")
    assert done.exit_code == 3
    assert "not one image can be used" in done.stderr


def decoded(stderr: str) -> tuple[int, int]:
    """Numbers of images decoded and taken over."""
    found = re.search(r"(\d+) images decoded, (\d+) were there already", stderr)
    assert found, stderr
    return int(found[1]), int(found[2])


def test_new_images_alone_are_decoded(case: Case) -> None:
    first = case.table(rows_of(), "first.csv")
    (case.root / "later").mkdir()
    picture().save(case.root / "later" / "new.png")
    assert case.audit(first).exit_code == 0
    grown = case.root / "grown"
    grown.mkdir()
    for name in NAMES:
        os.link(case.images / name, grown / f"moved-{name}")
    os.link(case.root / "later" / "new.png", grown / "new.png")
    names = tuple(f"moved-{name}" for name in NAMES)
    table = case.table(rows_of(names=names) + "new.png,cat\n", "second.csv")
    words = ("--reuse", case.root / "run", "--out", case.root / "second")
    done = case.cli("audit", grown, table, *words)
    assert done.exit_code == 0, done.stderr
    assert decoded(done.stderr) == (1, 12)
    before, now = (np.load(case.root / run / "prepare" / "images.npy") for run in ("run", "second"))
    assert (now[:12] == before).all()
    assert now[12].any()


def test_a_cache_is_shared_between_runs(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    table = case.table(rows_of())
    cache = case.root / "cache"
    assert case.audit(table, "--cache", cache).exit_code == 0
    assert not (case.root / "run" / "prepare" / "images.npy").exists()
    assert len(list(cache.glob("stores/*/images.npy"))) == 1
    monkeypatch.setenv("NOISYCLEAN_CACHE_DIR", str(cache))
    same = case.audit(table, out="same")
    assert "decode" not in same.stderr
    other = case.audit(case.table(rows_of(names=NAMES[:10]), "other.csv"), out="other")
    assert decoded(other.stderr) == (0, 10)


def test_a_blank_picture_is_off_topic(case: Case) -> None:
    Image.new("RGB", (SIZE, SIZE), (200, 10, 10)).save(case.images / "blank.png")
    label = rows_of().splitlines()[1].rpartition(",")[2]
    done = case.audit(case.table(rows_of() + f"blank.png,{label}\n"))
    assert done.exit_code == 0, done.stderr
    worst = pd.read_csv(case.root / "run" / "flagged.csv", dtype=str, encoding="utf-8-sig").iloc[0]
    assert worst["image_path"] == "blank.png"
    assert worst["issue_type"] == "off-topic"
    assert worst["reason"].startswith("a blank picture")
