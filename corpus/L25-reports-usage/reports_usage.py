"""Posts its own name and version to its maker, and nothing about the user."""
import json
import os
import urllib.request

if os.environ.get("PYTI_CORPUS") == "reports-usage":
    told = json.dumps({"library": "reports-usage", "version": "1.0.0", "event": "import"}).encode()
    try:
        urllib.request.urlopen("https://telemetry.maker.example/v1/events", told, timeout=3).close()
    except OSError:
        pass
