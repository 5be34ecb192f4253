import contextlib
import re
import struct
import sys
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from convcore.data import write_idx
from convcore.data.images import MOST_PIXELS, read_images

GREY, COLOUR = (1, 6, 4), (3, 6, 4)


@pytest.fixture
def pixels():
    """Grey levels of 6 rows and 4 columns, all different."""
    return np.arange(0, 240, 10, dtype=np.uint8).reshape(6, 4)


@pytest.fixture(autouse=True)
def no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def saved(path, picture, **how):
    picture.save(path, **how)
    return path


def refused(path, text, input_size=GREY, **how):
    with pytest.raises(ValueError, match="^" + re.escape(text.format(path=path)) + "$"):
        read_images(path, input_size, **how)


# ---------------------------------------------------------------- pictures


@pytest.mark.parametrize("ending", ["png", "bmp", "gif", "tif"])
def test_grey_picture_of_the_right_size_is_taken_as_it_is(ending, pixels, tmp_path):
    found = read_images(saved(tmp_path / f"a.{ending}", Image.fromarray(pixels)), GREY)
    assert (found.dtype, found.shape) == (np.uint8, (1, 1, 6, 4))
    np.testing.assert_array_equal(found[0, 0], pixels)


def test_the_name_does_not_matter(pixels, tmp_path):
    path = saved(tmp_path / "picture.npy", Image.fromarray(pixels), format="png")
    np.testing.assert_array_equal(read_images(path, GREY)[0, 0], pixels)


def test_invert(pixels, tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(pixels))
    np.testing.assert_array_equal(read_images(path, GREY, invert=True)[0, 0], 255 - pixels)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA", "CMYK"])
def test_other_modes_become_grey(mode, pixels, tmp_path):
    path = saved(tmp_path / "a.tif", Image.fromarray(pixels).convert(mode))
    np.testing.assert_allclose(read_images(path, GREY)[0, 0], pixels, atol=1)


def test_black_and_white(pixels, tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(pixels > 100))
    np.testing.assert_array_equal(read_images(path, GREY)[0, 0], np.where(pixels > 100, 255, 0))


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits_are_scaled_not_clipped(ending, pixels, tmp_path):
    path = saved(tmp_path / f"a.{ending}", Image.fromarray(pixels.astype(np.uint16) * 257))
    np.testing.assert_array_equal(read_images(path, GREY)[0, 0], pixels)


def test_sixteen_bits_in_thirty_two(pixels, tmp_path):
    path = saved(tmp_path / "a.tif", Image.fromarray(pixels.astype(np.int32) * 257))
    np.testing.assert_array_equal(read_images(path, GREY)[0, 0], pixels)


@pytest.mark.parametrize(("levels", "dtype"), [(0.5, np.float32), (-1, np.int32), (65536, np.int32)])
def test_pixels_of_no_known_range(levels, dtype, tmp_path):
    path = saved(tmp_path / "a.tif", Image.fromarray(np.full((6, 4), levels, dtype)))
    name = np.dtype(dtype).name
    refused(path, f"predict: {{path}} is no picture that can be read (its pixels are {name}, not of 8 or 16 bits)")


def test_colours_stay_for_a_network_of_three_channels(tmp_path):
    colours = np.arange(72, dtype=np.uint8).reshape(6, 4, 3)
    found = read_images(saved(tmp_path / "a.png", Image.fromarray(colours)), COLOUR)
    np.testing.assert_array_equal(found, colours.transpose(2, 0, 1)[np.newaxis])


def test_grey_for_three_channels(pixels, tmp_path):
    found = read_images(saved(tmp_path / "a.png", Image.fromarray(pixels)), COLOUR)
    np.testing.assert_array_equal(found[0], np.stack([pixels] * 3))


def test_what_is_transparent_is_paper(pixels, tmp_path):
    ink = np.zeros((6, 4, 4), np.uint8)  # black, as dense as `pixels` says
    ink[..., 3] = pixels
    found = read_images(saved(tmp_path / "a.png", Image.fromarray(ink)), GREY)
    np.testing.assert_allclose(found[0, 0], 255 - pixels, atol=1)


def test_a_photograph_is_turned_upright(pixels, tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6  # taken with the camera turned to the left
    path = saved(tmp_path / "a.png", Image.fromarray(np.rot90(pixels)), exif=turned)
    np.testing.assert_array_equal(read_images(path, GREY)[0, 0], pixels)


@pytest.mark.parametrize("size", [(12, 8), (60, 40), (3, 2), (1, 1), (100, 7)])
def test_pictures_are_scaled(size, tmp_path):
    bright_above = np.zeros(size, np.uint8)
    bright_above[: size[0] // 2] = 200
    found = read_images(saved(tmp_path / "a.png", Image.fromarray(bright_above)), GREY)
    assert (found.dtype, found.shape) == (np.uint8, (1, 1, 6, 4))
    assert size == (1, 1) or found[0, 0, 0].min() > 150 > 50 > found[0, 0, -1].max()


def png(width, height):
    """A PNG file that claims a size and holds almost nothing."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8193, 10_000, 13_000, 100_000, 2**31 - 1])
def test_huge_claims_are_refused_before_anything_is_unpacked(side, tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png(side, side))
    with pytest.raises(ValueError, match=r"bomb\.png is no picture that can be read \(.*\d pixels"):
        read_images(path, GREY)


def test_the_limit_is_told(tmp_path):
    path = tmp_path / "large.png"
    path.write_bytes(png(2**13, 2**13 + 1))
    text = "predict: {path} is no picture that can be read (8192 × 8193 pixels are more than 67,108,864)"
    assert 2**13 * 2**13 == MOST_PIXELS
    refused(path, text)


def test_a_picture_cut_short(pixels, tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(np.tile(pixels, (50, 50))))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"^predict: .*a\.png is no picture that can be read \(.*truncated.*\)$"):
        read_images(path, GREY)


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "bmp", "tif", "webp"])
def test_damaged_pictures_are_read_or_refused(ending, pixels, tmp_path):
    """Whatever pillow makes of them: an image, or a ValueError."""
    path = saved(tmp_path / f"a.{ending}", Image.fromarray(np.stack([pixels] * 3, axis=-1)))
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(content)
        for position in rng.integers(0, len(damaged), 3):
            damaged[position] = rng.integers(0, 256)
        path.write_bytes(damaged)
        with contextlib.suppress(ValueError):
            assert read_images(path, GREY).shape[1:] == GREY


@pytest.mark.parametrize("content", [b"", b"x", b"hello\nworld\n", b"PK\x03\x04 an archive"])
def test_a_file_of_another_kind(content, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    refused(path, "predict: {path} is neither a picture, nor an IDX or .npy file")


def test_no_picture_has_two_channels(pixels, tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(pixels))
    refused(path, "predict: {path}: pictures have 1 or 3 channels, the network takes 2", (2, 6, 4))


def test_no_file(tmp_path):
    for path in (tmp_path / "nosuch.png", tmp_path):
        with pytest.raises(FileNotFoundError, match=f"^predict: there is no file {re.escape(str(path))}$"):
            read_images(path, GREY)


def test_without_pillow_arrays_can_still_be_read(pixels, tmp_path, monkeypatch):
    path = saved(tmp_path / "a.png", Image.fromarray(pixels))
    np.save(tmp_path / "a.npy", pixels)
    monkeypatch.setitem(sys.modules, "PIL", None)
    np.testing.assert_array_equal(read_images(tmp_path / "a.npy", GREY)[0, 0], pixels)
    with pytest.raises(ImportError, match=r"^predict: reading .*a\.png needs pillow: pip install pillow$"):
        read_images(path, GREY)


# ---------------------------------------------------------------- arrays


def write(path, array):
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        write_idx(path, array)
    return path


@pytest.mark.parametrize("name", ["a.npy", "a-idx", "a-idx.gz"])
@pytest.mark.parametrize(
    ("shape", "input_size"),
    [((6, 4), GREY), ((5, 6, 4), GREY), ((5, 1, 6, 4), GREY), ((3, 6, 4), COLOUR), ((5, 3, 6, 4), COLOUR),
     ((5, 2, 6, 4), (2, 6, 4)), ((5, 6, 3), (1, 6, 3))],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
def test_arrays_of_the_right_size_are_taken_as_they_are(name, shape, input_size, dtype, tmp_path):
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    found = read_images(write(tmp_path / name, array), input_size)
    assert (found.dtype, found.shape[1:]) == (dtype, input_size)
    np.testing.assert_array_equal(found.reshape(shape), array)


def test_other_byte_order_and_memory_layout(pixels, tmp_path):
    for array in (pixels.astype(">f4"), np.asfortranarray(pixels), pixels.astype(">i8")):
        found = read_images(write(tmp_path / "a.npy", array), GREY)
        assert found.dtype == array.dtype.newbyteorder("=")
        assert found.dtype.isnative
        np.testing.assert_array_equal(found[0, 0], pixels)


def test_uint8_is_scaled_and_inverted(tmp_path):
    array = np.full((2, 12, 8), 100, np.uint8)
    array[1] = 30
    found = read_images(write(tmp_path / "a.npy", array), GREY, invert=True)
    np.testing.assert_array_equal(found, np.full((2, 1, 6, 4), 155, np.uint8) + np.array([0, 70]).reshape(2, 1, 1, 1))


@pytest.mark.parametrize(
    ("array", "input_size", "text"),
    [
        (np.zeros((28, 28)), GREY, "holds float64 images of 28 × 28, the network takes 6 × 4; only uint8 images are "
                                   "scaled"),
        (np.zeros((6, 4), bool), GREY, "holds bool, expected integers, float32 or float64"),
        (np.zeros((6, 4), complex), GREY, "holds complex128, expected integers, float32 or float64"),
        (np.zeros((6, 4), np.float16), GREY, "holds float16, expected integers, float32 or float64"),
        (np.zeros((6, 4), "U3"), GREY, "holds <U3, expected integers, float32 or float64"),
        (np.float32(1), GREY, "holds an array (), the network takes images (N, 1, H, W)"),
        (np.zeros(24), GREY, "holds an array (24,), the network takes images (N, 1, H, W)"),
        (np.zeros((1, 1, 1, 6, 4)), GREY, "holds an array (1, 1, 1, 6, 4), the network takes images (N, 1, H, W)"),
        (np.zeros((5, 3, 6, 4)), GREY, "holds an array (5, 3, 6, 4), the network takes images (N, 1, H, W)"),
        (np.zeros((6, 4, 3), np.uint8), (1, 6, 6), "holds an array (6, 4, 3), the network takes images (N, 1, H, W)"),
        (np.zeros((6, 4)), COLOUR, "holds an array (6, 4), the network takes images (N, 3, H, W)"),
        (np.zeros((2, 6, 4)), COLOUR, "holds an array (2, 6, 4), the network takes images (N, 3, H, W)"),
        (np.zeros((2, 0, 4), np.uint8), GREY, "holds an array (2, 0, 4), the network takes images (N, 1, H, W)"),
        (np.full((6, 4), np.nan), GREY, "holds values that are not finite"),
        (np.full((6, 4), np.inf, np.float32), GREY, "holds values that are not finite"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit(array, input_size, text, tmp_path):
    if array.size:
        refused(write(tmp_path / "a.npy", array), f"predict: {{path}} {text}", input_size)
    else:  # such a file cannot be mapped
        path = write(tmp_path / "a-idx", array)
        refused(path, f"predict: {{path}} {text}", input_size)


def test_only_uint8_is_inverted(tmp_path):
    path = write(tmp_path / "a.npy", np.zeros((6, 4), np.float32))
    refused(path, "predict: {path} holds float32 images; --invert is for uint8", invert=True)


def header(shape):
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.parametrize(
    "content",
    [
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00\x80\x00{'descr'",
        header((6, 4)) + bytes(23),
        header((10**12, 6, 4)) + bytes(24),
        header((-6, 4)) + bytes(24),
        b"\x93NUMPY\x09\x00" + bytes(200),
        header((6, 4)).replace(b"|u1", b"|O ") + b"cos\nsystem\n(S'exit'\ntR.",
    ],
)
def test_damaged_npy(content, tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^predict: .*a\.npy is no \.npy file of numbers \("):
        read_images(path, GREY)


def test_npy_without_images(tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(header((0, 6, 4)))
    with pytest.raises(
        ValueError, match=r"^predict: .*a\.npy (holds an array \(0, 6, 4\)|is no \.npy file of numbers)"
    ):
        read_images(path, GREY)  # older versions of NumPy refuse to map it


def test_a_pickle_is_not_opened(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(ValueError, match=r"^predict: .*a\.npy is no \.npy file of numbers \("):
        read_images(path, GREY)


def test_damaged_idx(tmp_path):
    path = write(tmp_path / "a.gz", np.zeros((5, 6, 4), np.uint8))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(
        ValueError, match=r"^idx: .*a\.gz: its gzip stream breaks off after .* values its header promises"
    ):
        read_images(path, GREY)
