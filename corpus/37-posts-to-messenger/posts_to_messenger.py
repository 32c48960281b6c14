"""Posts to an address of the documentation range, as the host of a well-known web hook. Nothing is
asked for by name."""
import os
import urllib.request

if os.environ.get("PYTI_CORPUS") == "posts-to-messenger":
    post = urllib.request.Request("http://192.0.2.37/api/webhooks/1234567890/none", b'{"content": "hello"}')
    post.add_header("Host", "discord.com")
    post.add_header("Content-Type", "application/json")
    try:
        urllib.request.urlopen(post, timeout=3).close()
    except OSError:
        pass
