"""What the extra `fleet` adds to the package's own dependencies."""

from importlib import import_module

from strategies.errors import lacks_extra

MODULES = ("dask", "distributed", "fsspec", "pyarrow")


def need_extra():
    """Raise InputError with one line if a module of the extra is missing."""
    for name in MODULES:
        try:
            import_module(name)
        except ImportError as error:
            raise lacks_extra(name, "fleet") from error
