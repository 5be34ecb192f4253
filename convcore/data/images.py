"""Images from files, made to fit a network: PNG, JPEG and whatever pillow reads, IDX, and .npy."""

import math
import pathlib
import warnings

import numpy as np

from convcore.data.idx import read_idx

MOST_PIXELS = 2**26  # of one image file: 64 million; a small file may claim to unpack to far more


def read_images(path, input_size, *, invert=False):
    """Return the images of a file in the size of a network's input.

    Parameters
    ----------
    path : path-like
        A picture, which is made grey (or RGB) and scaled to the input's size; or an IDX or .npy file, told apart by
        content: uint8 is scaled likewise, other numbers must have the input's size and are left as they are. Arrays
        have the shape (N, C, H, W), (C, H, W), or, for one channel, (N, H, W) or (H, W).
    input_size : (int, int, int)
        Channels (1 or 3 for pictures), height, width.
    invert : bool
        Turn dark on light into light on dark, as the digits of MNIST are; only for uint8.

    Returns
    -------
    ndarray, shape (N, *input_size), uint8, or the file's dtype

    Raises
    ------
    FileNotFoundError, ValueError
        No such file, no image in it, or one that does not fit; the text names the file.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"predict: there is no file {path}")
    with path.open("rb") as file:
        start = file.read(6)
    if start == b"\x93NUMPY":
        images = _read_npy(path)
    elif start[:2] in (b"\x00\x00", b"\x1f\x8b"):
        images = read_idx(path)
    else:
        images = _read_picture(path, input_size[0])
    return _fit(images, input_size, invert, path)


def _read_npy(path):
    """Read an array without unpickling and, by mapping it, without trusting the size its header claims."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"predict: {path} is no .npy file of numbers ({error})") from None
    return np.asarray(array).astype(array.dtype.newbyteorder("="), copy=False)


def _read_picture(path, channels):
    """Read one picture with pillow, (1, channels, H, W), uint8."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        raise ImportError(f"predict: reading {path} needs pillow: pip install pillow") from None
    if channels not in (1, 3):
        raise ValueError(f"predict: {path}: pictures have 1 or 3 channels, the network takes {channels}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # there is a limit of our own
            picture = Image.open(path)
        with picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise ValueError(f"{picture.width} × {picture.height} pixels are more than {MOST_PIXELS:,}")
            upright = _eight_bits(ImageOps.exif_transpose(picture)).convert("RGBA")  # as the camera was held
        paper = Image.new("RGBA", upright.size, "white")  # behind what is transparent
        paper.alpha_composite(upright)
        pixels = np.asarray(paper.convert("L" if channels == 1 else "RGB"))
    except UnidentifiedImageError:
        raise ValueError(f"predict: {path} is neither a picture, nor an IDX or .npy file") from None
    except Exception as error:  # of damaged files pillow raises whatever comes up
        raise ValueError(f"predict: {path} is no picture that can be read ({error})") from None
    return pixels[np.newaxis, np.newaxis] if channels == 1 else pixels.transpose(2, 0, 1)[np.newaxis]


def _eight_bits(picture):
    """Return a picture of 16 bits per pixel with 8, which pillow would clip instead of scaling; others as they are."""
    if not picture.mode.startswith(("I", "F")):
        return picture
    from PIL import Image

    levels = np.asarray(picture)
    if picture.mode == "F" or levels.min() < 0 or levels.max() > 65535:
        raise ValueError(f"its pixels are {levels.dtype.name}, not of 8 or 16 bits")
    return Image.fromarray(np.rint(levels / 257).astype(np.uint8))  # 65535 -> 255


def _fit(images, input_size, invert, path):
    """Return images as (N, *input_size): axes added, uint8 scaled."""
    channels, height, width = input_size
    if images.dtype.kind not in "ui" and images.dtype not in (np.float32, np.float64):
        raise ValueError(f"predict: {path} holds {images.dtype}, expected integers, float32 or float64")
    shape = images.shape
    if channels > 1 and len(shape) == 3:
        images = images[np.newaxis]  # (C, H, W) -> (1, C, H, W)
    elif len(shape) == 2 or (len(shape) == 3 and (shape[2] > 4 or shape[2] == width)):  # not (H, W, colours)
        images = images.reshape(math.prod(shape[:-2]), 1, *shape[-2:])  # (H, W), (N, H, W) -> (N, 1, H, W)
    if images.ndim != 4 or images.shape[1] != channels or 0 in shape:
        raise ValueError(f"predict: {path} holds an array {shape}, the network takes images (N, {channels}, H, W)")
    if images.dtype == np.uint8:
        if images.shape[2:] != (height, width):
            images = np.stack([[_scale(plane, height, width) for plane in image] for image in images])
        return 255 - images if invert else images
    if images.shape[2:] != (height, width):
        raise ValueError(f"predict: {path} holds {images.dtype} images of {images.shape[2]} × {images.shape[3]}, the "
                         f"network takes {height} × {width}; only uint8 images are scaled")  # fmt: skip
    if invert:
        raise ValueError(f"predict: {path} holds {images.dtype} images; --invert is for uint8")
    if not np.isfinite(images).all():
        raise ValueError(f"predict: {path} holds values that are not finite")
    return images


def _scale(plane, height, width):
    """Scale one uint8 plane with a filter that averages where it shrinks."""
    from PIL import Image

    return np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize((width, height), Image.Resampling.LANCZOS))
