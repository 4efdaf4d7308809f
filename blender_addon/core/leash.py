"""On Windows, a child that dies with Blender however Blender ends: a job object that kills what is in it when closed.

Elsewhere the backend sees to it itself. There and here the end of its stdin tells it too; this is for a backend that
is stuck in a driver and reads nothing.
"""

from __future__ import annotations

import logging
import subprocess
import sys

log = logging.getLogger(__name__)

if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _EXTENDED_LIMITS = 9  # JobObjectExtendedLimitInformation
    _KILL_ON_CLOSE = 0x2000  # JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE

    class _BasicLimits(ctypes.Structure):
        _fields_ = (
            ("PerProcessUserTimeLimit", wintypes.LARGE_INTEGER),
            ("PerJobUserTimeLimit", wintypes.LARGE_INTEGER),
            ("LimitFlags", wintypes.DWORD),
            ("MinimumWorkingSetSize", ctypes.c_size_t),
            ("MaximumWorkingSetSize", ctypes.c_size_t),
            ("ActiveProcessLimit", wintypes.DWORD),
            ("Affinity", ctypes.c_size_t),
            ("PriorityClass", wintypes.DWORD),
            ("SchedulingClass", wintypes.DWORD),
        )

    class _ExtendedLimits(ctypes.Structure):
        _fields_ = (
            ("BasicLimitInformation", _BasicLimits),
            ("IoInfo", ctypes.c_ulonglong * 6),
            ("ProcessMemoryLimit", ctypes.c_size_t),
            ("JobMemoryLimit", ctypes.c_size_t),
            ("PeakProcessMemoryUsed", ctypes.c_size_t),
            ("PeakJobMemoryUsed", ctypes.c_size_t),
        )

    def _kernel() -> ctypes.WinDLL:
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.CreateJobObjectW.argtypes = (ctypes.c_void_p, wintypes.LPCWSTR)
        kernel.CreateJobObjectW.restype = wintypes.HANDLE  # a pointer: the default of a C int would cut it
        kernel.SetInformationJobObject.argtypes = (wintypes.HANDLE, ctypes.c_int, ctypes.c_void_p, wintypes.DWORD)
        kernel.AssignProcessToJobObject.argtypes = (wintypes.HANDLE, wintypes.HANDLE)
        kernel.CloseHandle.argtypes = (wintypes.HANDLE,)
        return kernel

    class Leash:
        """Held as long as the child may live. Where Windows refuses it, the log says so and the child is free."""

        def __init__(self, process: subprocess.Popen[bytes]) -> None:
            self._kernel = _kernel()
            self._job = self._kernel.CreateJobObjectW(None, None)
            limits = _ExtendedLimits()
            limits.BasicLimitInformation.LimitFlags = _KILL_ON_CLOSE
            size = ctypes.sizeof(limits)
            # Popen has no public way to its handle, and opening the process anew by its id may meet another process.
            handle = int(process._handle)  # pyright: ignore[reportAttributeAccessIssue]
            if not (
                self._job
                and self._kernel.SetInformationJobObject(self._job, _EXTENDED_LIMITS, ctypes.byref(limits), size)
                and self._kernel.AssignProcessToJobObject(self._job, handle)
            ):
                log.warning("the generator is not bound to Blender: %s", ctypes.WinError(ctypes.get_last_error()))

        def release(self) -> None:
            """Let go, which ends the child if it still lives."""
            if self._job:
                self._kernel.CloseHandle(self._job)
                self._job = None

else:

    class Leash:
        """Nothing to hold here."""

        def __init__(self, process: subprocess.Popen[bytes]) -> None: ...

        def release(self) -> None: ...
