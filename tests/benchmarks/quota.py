"""Has the kernel give processes a part of a core each, by control groups of either version (cgroups(7))."""

import contextlib
from pathlib import Path

__all__ = ["ImpossibleError", "limited"]

_PERIOD_MICROSECONDS = 100_000  # as Linux has it; shorter ones cost the processes much of their part

_NEEDED = "it takes root, and control groups with the cpu controller"


class ImpossibleError(Exception):
    """The kernel cannot be told so here: that takes root and the `cpu` controller."""


@contextlib.contextmanager
def limited(processes, cores):
    """While it is entered, each of the processes has at most so much of a core.

    Raises:
        ImpossibleError: it cannot be done here.
    """
    with contextlib.ExitStack() as stack:
        try:
            root, names, values = _controller(cores)
            for pid in processes:
                group = root / f"valkeeper-{pid}"
                group.mkdir()
                stack.callback(group.rmdir)
                for name, value in zip(names, values, strict=True):
                    (group / name).write_text(value)
                before = root / _group_of(pid, root)
                (group / "cgroup.procs").write_text(str(pid))
                stack.callback((before / "cgroup.procs").write_text, str(pid))
        except OSError as error:
            raise ImpossibleError(
                f"{_NEEDED}; {error.filename or 'cgroup.procs'}: {error.strerror}"
            ) from error
        yield


def _controller(cores):
    """The hierarchy that hands out the processors, and which files of a group take what."""
    quota = int(_PERIOD_MICROSECONDS * cores)
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mounted, kind, options, *_ = line.split()
        root = Path(mounted)
        if kind == "cgroup" and "cpu" in options.split(","):
            names = ("cpu.cfs_period_us", "cpu.cfs_quota_us")
            return root, names, (str(_PERIOD_MICROSECONDS), str(quota))
        if kind == "cgroup2" and "cpu" in (root / "cgroup.subtree_control").read_text().split():
            return root, ("cpu.max",), (f"{quota} {_PERIOD_MICROSECONDS}",)
    raise ImpossibleError(_NEEDED)


def _group_of(pid, root):
    """Where a process is in the hierarchy, from its root."""
    is_second = (root / "cgroup.controllers").exists()
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if (not controllers) if is_second else "cpu" in controllers.split(","):
            return path.lstrip("/")
    return ""
