"""Gives crontab a line to run at every hour, and tries to write into /etc/cron.d."""
import os
import subprocess

if os.environ.get("PYTI_CORPUS") == "adds-cron-job" and os.path.isdir("/.pyti"):
    line = b"0 * * * * true  # written by the corpus of PyTI\n"
    try:
        subprocess.run(["crontab", "-"], input=line, timeout=3)
    except OSError:
        pass
    for path in ("/etc/cron.d/corpus", "/var/spool/cron/crontabs/dev"):
        try:
            with open(path, "wb") as file:
                file.write(line)
        except OSError:
            pass
