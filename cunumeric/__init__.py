"""The package's old name: `import cunumeric as np` gives `cupynumeric` itself, submodules included."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Sequence

import cupynumeric


class _Alias(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `cunumeric.x` as the module `cupynumeric.x`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A spec for names under the old package."""
        if not fullname.startswith("cunumeric."):
            return None
        return importlib.machinery.ModuleSpec(fullname, self)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """The module under its present name."""
        return importlib.import_module("cupynumeric" + spec.name.removeprefix("cunumeric"))

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing: the module has been executed under its present name."""


sys.meta_path.append(_Alias())
sys.modules[__name__] = cupynumeric
