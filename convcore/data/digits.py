"""The bundled handwritten digits: 1,797 small images, enlarged to the size of MNIST; no network needed."""

import importlib.resources

import numpy as np

from convcore.data.dataset import Dataset, Split

INK = 16  # the grey levels of the file go from 0 (paper) to 16 (ink)
SIZE = 28  # side of the enlarged image, pixels; the digit fills the middle 20, as in MNIST


def load_digits():
    """Load the handwritten digits that come with the package.

    The 8 x 8 images are enlarged 2.5 times by cubic convolution and centred, white on black, in 28 x 28 pixels, so
    that a network for MNIST takes them as they are. The split is fixed: of each class, in file order, every fifth
    image (the 5th, 10th, ...) is test.

    Returns
    -------
    Dataset, 1,442 training and 355 test images (1, 28, 28), uint8, 0 to 255; 10 classes

    Notes
    -----
    The enlargement sums whole numbers, so the pixels are the same on every machine.

    References
    ----------
    E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998
    (CC BY 4.0, see ``digits-NOTICE.md``). R. Keys, "Cubic convolution interpolation for digital image processing",
    IEEE Transactions on Acoustics, Speech, and Signal Processing 29 (1981).

    Examples
    --------
    >>> load_digits()
    Dataset 'digits': 1,442 training and 355 test images (1, 28, 28), 10 classes
    """
    file = importlib.resources.files("convcore.data") / "digits.npz"
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        x = enlarge(arrays["images"])[:, np.newaxis]  # (N, 28, 28) -> (N, 1, 28, 28)
        y = arrays["labels"].astype(np.int64)
    is_test = np.zeros(len(y), bool)
    for label in range(10):
        is_test[np.flatnonzero(y == label)[4::5]] = True
    return Dataset("digits", Split(x[~is_test], y[~is_test]), Split(x[is_test], y[is_test]), tuple("0123456789"))


def enlarge(images):
    """Enlarge 8 x 8 images to 28 x 28, the digit in the middle 20 x 20 (cubic convolution, black outside).

    large = E · small · Eᵀ, where E[i, j] is Keys' kernel at the distance of the pixel centres i and j.

    Parameters
    ----------
    images : ndarray, shape (N, 8, 8), grey levels 0 to 16

    Returns
    -------
    ndarray, shape (N, 28, 28), uint8, 0 to 255

    Examples
    --------
    >>> enlarge(np.full((1, 8, 8), 16))[0, 14, ::3]
    array([  0,  66, 255, 255, 255, 255, 255, 255,  66,   0], dtype=uint8)
    """
    # Pixel i of the large image lies at (i - 13.5) / 2.5 + 3.5 of the small one. Distances d are kept in tenths of
    # a small pixel and weights in 2000ths: all are whole numbers then, and float64 adds them without rounding.
    d = np.abs(4.0 * np.arange(SIZE)[:, np.newaxis] - 19 - 10 * np.arange(8))
    near, far = 3 * d**3 - 50 * d**2 + 2000, -(d**3) + 50 * d**2 - 800 * d + 4000
    weights = np.where(d < 10, near, np.where(d < 20, far, 0))  # E, (28, 8)
    large = weights @ images.astype(np.float64) @ weights.T  # (N, 28, 28)
    white = INK * 2000**2
    return np.rint(np.clip(large, 0, white) * 255 / white).astype(np.uint8)
