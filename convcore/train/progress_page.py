"""A page with the picture of a running training, kept up to date on the disk and opened in a browser."""

import html
import os
import pathlib
import sys
import tempfile
import time
import warnings
import webbrowser

from convcore.files import write_atomic
from convcore.train.picture import draw, figure_class

PICTURE, PAGE = "training-progress.png", "training-progress.html"
REFRESH_SECONDS = 3.0  # at most so often is the picture drawn, and is the page read again
LARGEST_SHARE = 0.1  # of the time goes into drawing: a long run's picture takes a second

TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">{refresh}
<title>{title}</title>
<style>body {{ margin: 2em; font-family: sans-serif; color: #333 }} img {{ max-width: 100% }}</style>
</head>
<body>
<p>{title}</p>
{image}
</body>
</html>
"""


class ProgressPage:
    """Two files in one folder, a picture and the page around it, each replaced as a whole or not at all.

    Parameters
    ----------
    folder : str or path-like, optional
        Exists. None: a new one for temporary files.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    """

    def __init__(self, folder=None):
        figure_class()  # raises now what drawing would raise
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="convcore-") if folder is None else folder)
        self._next = 0.0
        self._failed = False
        self._write("training starts", running=True)
        page = (self.folder / PAGE).resolve()
        print(f"training progress: {page}", file=sys.stderr)
        if has_browser():
            webbrowser.open(page.as_uri())

    def update(self, history, stopped=None):
        """Draw the history, if the last picture is old enough, or if training has stopped: then `stopped` says why."""
        now = time.perf_counter()
        if self._failed or not len(history) or (now < self._next and stopped is None):
            return
        try:
            draw(history, self.folder / PICTURE)
            iteration = history.row(-1)["iteration"]
            words = f"{iteration:,} iteration{'' if iteration == 1 else 's'}" + (f", {stopped}" if stopped else "")
            self._write(words, running=stopped is None, version=iteration)
        except OSError as error:  # a full disk, a folder that is gone: training goes on
            self._failed = True
            warnings.warn(f"training progress: no more pictures: {error}", RuntimeWarning, stacklevel=2)
        after = time.perf_counter()
        self._next = after + max(REFRESH_SECONDS, (after - now) / LARGEST_SHARE)

    def _write(self, title, running, version=None):
        refresh = f'\n<meta http-equiv="refresh" content="{REFRESH_SECONDS:g}">' if running else ""
        # The version is no part of the file's name: it keeps the browser from showing an old picture.
        image = "" if version is None else f'<img src="{PICTURE}?{version}" alt="loss and accuracy by iteration">'
        text = TEMPLATE.format(refresh=refresh, title=html.escape(f"convcore: {title}"), image=image)
        write_atomic(self.folder / PAGE, text)


def has_browser():
    """Whether somebody sits in front of this program who can be shown a page: a terminal, a display, no CI."""
    display = sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(display) and sys.stderr.isatty() and not os.environ.get("CI")
