"""Images from files, made to fit a network: PNG, JPEG and whatever pillow reads, IDX, and .npy."""

import pathlib

import numpy as np

from convcore.data.idx import read_idx

MOST_PIXELS = 2**26  # of one image file: 64 million; a small file may claim to unpack to far more


def read_images(path, input_size, *, invert=False):
    """Return the images of a file in the size of a network's input.

    Parameters
    ----------
    path : path-like
        A picture (made grey or RGB, scaled to the input's size), or an IDX or .npy file of uint8 images (H, W),
        (N, H, W) or (N, C, H, W) (scaled likewise), or an .npy file of floats of exactly the input's size.
    input_size : (int, int, int)
        Channels (1 or 3 for pictures), height, width.
    invert : bool
        Turn dark on light into light on dark, as the digits of MNIST are; only for uint8.

    Returns
    -------
    ndarray, shape (N, *input_size), uint8; for floats their dtype

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
        array = _read_npy(path)
    elif start[:2] in (b"\x00\x00", b"\x1f\x8b"):
        array = read_idx(path)
    else:
        return _picture(path, input_size, invert)
    return _fit(array, input_size, invert, path)


def _read_npy(path):
    """Read an array without unpickling and, by mapping it, without trusting the size its header claims."""
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"predict: {path} is no .npy file of numbers ({str(error).splitlines()[0]})") from None


def _picture(path, input_size, invert):
    """Read one picture with pillow."""
    try:
        from PIL import Image
    except ImportError:
        raise ImportError(f"predict: reading {path.name} needs pillow: pip install pillow") from None
    channels, _, _ = input_size
    if channels not in (1, 3):
        raise ValueError(f"predict: {path}: pictures have 1 or 3 channels, the network takes {channels}")
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise ValueError(f"{picture.width} × {picture.height} pixels are more than {MOST_PIXELS:,}")
            flat = Image.new("RGBA", picture.size, "white")  # what is transparent is paper
            flat.alpha_composite(picture.convert("RGBA"))
            pixels = np.asarray(flat.convert("L" if channels == 1 else "RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"predict: {path} is no picture that can be read ({str(error).splitlines()[0]})") from None
    pixels = pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)  # (C, H, W)
    return _fit(pixels[None], input_size, invert, path)


def _fit(images, input_size, invert, path):
    """Return images as (N, *input_size): axes added, uint8 scaled."""
    channels, height, width = input_size
    if images.dtype.kind not in "uif":
        raise ValueError(f"predict: {path} holds {images.dtype}, images are numbers")
    if images.ndim == 2:
        images = images[None]
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4 or images.shape[1] != channels or 0 in images.shape:
        raise ValueError(f"predict: {path} holds {images.shape}, the network takes images (N, {channels}, H, W)")
    if images.dtype == np.uint8:
        if images.shape[2:] != (height, width):
            images = np.stack([np.stack([_scale(plane, height, width) for plane in image]) for image in images])
        return 255 - images if invert else np.asarray(images)
    if images.shape[2:] != (height, width):
        raise ValueError(f"predict: {path} holds {images.dtype} images of {images.shape[2]} × {images.shape[3]}, the "
                         f"network takes {height} × {width}; only uint8 images are scaled")  # fmt: skip
    if invert:
        raise ValueError(f"predict: {path} holds {images.dtype}; --invert is for uint8 images")
    return np.asarray(images)


def _scale(plane, height, width):
    """Scale one uint8 plane with pillow's filter that averages where it shrinks."""
    from PIL import Image

    return np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize((width, height), Image.Resampling.LANCZOS))
