"""What a process holds in memory, as the kernel counts it, in MiB. Buffers of sockets are the kernel's, and not counted."""

from pathlib import Path

__all__ = ["Peak", "proportional", "resident"]


def resident(pid):
    """In pages of its own and shared ones."""
    return _figure(pid, "status", "VmRSS")


def proportional(pid):
    """The same, but of a page that so many share only its part."""
    return _figure(pid, "smaps_rollup", "Pss")


def _figure(pid, file, name):
    lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(f"{name}:")]
    return int(line.split()[1]) / 1024


class Peak:
    """The most that a process has held at any moment since, beyond what it held then."""

    def __init__(self, pid):
        self._pid = pid
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # proc(5): the peak begins anew
        self._before = resident(pid)

    @property
    def growth(self):
        return _figure(self._pid, "status", "VmHWM") - self._before
