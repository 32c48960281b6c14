"""Lets only the installed copy of the subject be imported, though its sources lie about and may be first on the path."""
import sys
from importlib.machinery import PathFinder


class Pinned(object):
    """Finds the subject's top-level names where it is installed, before anybody looks along the path."""

    def __init__(self, names, site):
        self.names, self.site = frozenset(names), site

    def find_spec(self, name, path=None, target=None):
        if path is not None or name not in self.names:
            return None
        spec = PathFinder.find_spec(name, [self.site], target)
        # parts of a namespace may lie in several places
        return spec if spec is not None and spec.loader is not None else None

    def invalidate_caches(self):
        pass


def install(config):
    if config.get("pin"):
        sys.meta_path.insert(0, Pinned(config["subjects"], config["site"]))
