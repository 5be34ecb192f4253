"""Ctrl-C as a request: the first one lets the current step finish, the second one stops at once."""

import signal
import threading


class Interruption:
    """Listen for Ctrl-C inside the ``with`` block; the former handler is restored after it, whatever happens.

    Only the main thread may set handlers; in another one nothing is changed. The same holds where Ctrl-C is ignored
    (a job in the background), or handled outside Python.

    Attributes
    ----------
    requested : bool
        Ctrl-C was pressed once.
    """

    def __init__(self):
        self.requested = False
        self._former = None

    def __enter__(self):
        former = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and former not in (None, signal.SIG_IGN):
            self._former = former
            signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *exception):
        if self._former is not None:
            signal.signal(signal.SIGINT, self._former)

    def _handle(self, number, frame):
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
