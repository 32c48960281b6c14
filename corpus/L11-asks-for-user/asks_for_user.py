"""Asks for name and home of the user, in all the ways of the standard library."""
import getpass
import grp
import os
import pwd

if os.environ.get("PYTI_CORPUS") == "asks-for-user":
    getpass.getuser()
    os.path.expanduser("~")
    os.path.expanduser("~root")
    pwd.getpwuid(os.getuid())
    grp.getgrall()
