"""The process of a `uses:` job: calls one function, and ends with what it returns.

python -P -m daft_hooks.call package.module:function '{"argument": "value"}'
"""

from __future__ import annotations

import json
import sys
from importlib import import_module

UNUSABLE = 127
"""As a shell says it of a command it cannot find."""


def main(words: list[str]) -> int:
    """Call what `words` name; return the exit code.

    Whatever the function raises is shown as Python does, and is 1.
    """
    name, *rest = words
    module, _, attribute = name.partition(":")
    try:
        function = import_module(module)
        for part in attribute.split("."):
            function = getattr(function, part)
    except (ImportError, AttributeError) as error:
        sys.stderr.write(f"{name} cannot be called: {error}\n")
        return UNUSABLE
    arguments = json.loads(rest[0]) if rest else {}
    result = function(**arguments)  # type: ignore[operator]  # whatever was found: it is called
    sys.stdout.flush()
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
