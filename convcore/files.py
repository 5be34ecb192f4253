"""Writing files so that a crash at any moment leaves either the old file or the new one, never a torn one."""

import os
import pathlib
import tempfile


def write_atomic(path, content):
    """Write `content` (bytes or str) to a temporary name beside `path`, flush it to the disk, then rename.

    The folder must exist. An existing file keeps its permissions out of the way: the new one follows the umask.
    """
    path = pathlib.Path(path)
    if isinstance(content, str):
        content = content.encode("utf-8")
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask():
    """The process's umask; reading it means setting it for an instant."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
