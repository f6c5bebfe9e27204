"""Optional packages: imported or located when they are needed, and named when they are missing."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

from engines.base import NotReady


def need(module: str, extra: str) -> ModuleType:
    """Import an optional module.

    Raises ``NotReady`` with the command that installs ``extra``, an extra of this project.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise NotReady(f"{module} cannot be imported ({error}). {_install(extra)}") from error


def package_folder(module: str, package: str, extra: str) -> Path:
    """Where an installed package lies, found without importing it.

    Raises ``NotReady`` naming ``package`` and the command that installs ``extra``.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise NotReady(f"The package {package} is not installed. {_install(extra)}")
    return Path(spec.origin).parent


def package_file(module: str, name: str, package: str, extra: str) -> Path:
    """A file of an installed package; raises ``NotReady`` when the package or the file is missing."""
    path = package_folder(module, package, extra) / name
    if not path.is_file():
        raise NotReady(f"{package} lacks its file {name}. {_install(extra)}")
    return path


def _install(extra: str) -> str:
    return f'Install it: pip install "amphion-studio[{extra}]"'
