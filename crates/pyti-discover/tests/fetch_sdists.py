"""Fetches and unpacks sdists, once: fetch_sdists.py FOLDER NAME==VERSION...

The index is the one that pip is configured for. Exit code 3, with the reason, when something cannot be had.
"""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.parse
import urllib.request


def index():
    if os.environ.get("PIP_INDEX_URL"):
        return os.environ["PIP_INDEX_URL"]
    asked = subprocess.run([sys.executable, "-m", "pip", "config", "get", "global.index-url"],
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True)
    if asked.returncode == 0 and asked.stdout.strip():
        return asked.stdout.strip()
    from pip._internal.models.index import PyPI
    return PyPI.simple_url


def fetch(folder, spec, base):
    name, version = spec.split("==")
    page = "%s/%s/" % (base.rstrip("/"), name.lower())
    request = urllib.request.Request(page, headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        files = json.loads(answer.read().decode())["files"]
    wanted = "%s-%s.tar.gz" % (name.lower(), version)
    file = next(file for file in files if file["filename"].lower() == wanted)
    with urllib.request.urlopen(urllib.parse.urljoin(page, file["url"]), timeout=60) as answer:
        data = answer.read()
    if hashlib.sha256(data).hexdigest() != file["hashes"]["sha256"]:
        raise ValueError("%s is not what the index promised" % wanted)
    scratch = os.path.join(folder, "new-" + spec)
    shutil.rmtree(scratch, ignore_errors=True)
    os.makedirs(scratch)
    archive = os.path.join(folder, wanted)
    with open(archive, "wb") as out:
        out.write(data)
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "data_filter"):
            tar.extractall(scratch, filter="data")
        else:
            tar.extractall(scratch)
    os.unlink(archive)
    (top,) = os.listdir(scratch)
    os.rename(os.path.join(scratch, top), os.path.join(folder, spec))
    os.rmdir(scratch)


def main():
    folder, specs = sys.argv[1], sys.argv[2:]
    missing = [spec for spec in specs if not os.path.isdir(os.path.join(folder, spec))]
    try:
        base = index() if missing else None
        for spec in missing:
            fetch(folder, spec, base)
    except Exception as error:
        print("%s: %s" % (type(error).__name__, error), file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
