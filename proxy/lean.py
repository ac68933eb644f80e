"""Keeps a worker small: imported for its effect, before anything that imports structlog.

structlog imports rich wherever that is installed, to paint tracebacks on terminals. A worker has no terminal, and would pay
for it with a fifth of the time that it takes to start and with 5 MiB of memory.
"""

import sys

__all__: list[str] = []

# None is what `import` takes for a module that isn't there. Where it has been loaded before, somebody needs it.
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
