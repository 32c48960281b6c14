"""Calls one hook of a build backend (PEP 517), in a process of its own: hook.py FD CONFIG."""
import json
import os
import sys

sys.path[0:1] = []
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pyti_results as results
sys.path[0:1] = []


def version_of(module_name):
    top = module_name.split(".")[0]
    try:
        from importlib import metadata
        name = {"poetry": "poetry-core", "flit_core": "flit-core", "mesonpy": "meson-python", "pdm": "pdm-backend",
                "scikit_build_core": "scikit-build-core"}.get(top, top)
        return "%s %s" % (name, metadata.version(name))
    except Exception:
        return None


class BackendMissing(Exception):
    """The backend's module has no such object."""


def load(config):
    for path in reversed(config["backend_path"]):
        sys.path.insert(0, os.path.join(config["source"], path))
    module_name, _, attributes = config["backend"].partition(":")
    import importlib
    backend = importlib.import_module(module_name)
    for attribute in filter(None, attributes.split(".")):
        try:
            backend = getattr(backend, attribute)
        except AttributeError as error:
            # an AttributeError while importing the backend is the backend's own trouble, this is none
            raise BackendMissing(str(error))
    return module_name, backend


def main():
    results.open_results(sys.argv[1])
    config = json.loads(sys.argv[2])
    sys.argv[:] = [sys.argv[0]]
    os.chdir(config["source"])
    os.makedirs(config["out"], exist_ok=True)
    try:
        module_name, backend = load(config)
    except BaseException as error:
        described = results.describe(error)
        top = config["backend"].partition(":")[0]
        if isinstance(error, ModuleNotFoundError) and error.name and (top == error.name or top.startswith(error.name + ".")):
            described["class"] = "BackendMissing"
        results.tell(present=False, error=described)
        return 1
    version = version_of(module_name)
    hook = getattr(backend, config["hook"], None)
    if hook is None:
        results.tell(present=False, requires=[], version=version)
        return 0
    try:
        if config["hook"] == "get_requires_for_build_wheel":
            asked = hook(None)
            results.tell(present=True, requires=[str(line) for line in asked or []], version=version)
        else:
            made = hook(config["out"], None)
            results.tell(present=True, output=str(made), version=version)
    except BaseException as error:
        if isinstance(error, SystemExit) and error.code in (None, 0):
            results.tell(present=True, error={"class": "SystemExit", "message": "0", "traceback": ""}, version=version)
            return 1
        results.tell(present=True, error=results.describe(error), version=version)
        import traceback
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
