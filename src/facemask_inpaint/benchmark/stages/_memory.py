"""Peak memory of a method on its device."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

_MEBIBYTE = 2**20
_STATUS = Path("/proc/self/status")
_FORGET = Path("/proc/self/clear_refs")


class PeakMemory:
    """The most memory in use since :meth:`start`.

    On CUDA that of all tensors; on the CPU that of the whole process, where the system can forget
    an earlier peak (Linux), and else unknown.

    Attributes:
        device_name: name of the hardware, for tables.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._forgets = _FORGET.exists() and _STATUS.exists()
        self.device_name = _name(device)

    def start(self) -> None:
        """Forget the peak so far."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        elif self._forgets:
            try:
                _FORGET.write_text("5")
            except OSError:  # not allowed in every container
                self._forgets = False

    def mebibytes(self) -> float | None:
        """The peak, or ``None`` where it cannot be read."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / _MEBIBYTE
        if not self._forgets:
            return None
        lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) / 1024


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()} CPU, {torch.get_num_threads()} threads"
