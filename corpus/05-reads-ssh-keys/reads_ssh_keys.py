"""Lists ~/.ssh and reads every file in it, and ~/.gitconfig and /etc/hosts."""
import os

if os.environ.get("PYTI_CORPUS") == "reads-ssh-keys":
    home = os.path.expanduser("~")
    wanted = [home + "/.gitconfig", "/etc/hosts"]
    if os.path.isdir(home + "/.ssh"):
        wanted += [home + "/.ssh/" + name for name in os.listdir(home + "/.ssh")]
    for path in wanted:
        try:
            with open(path, "rb") as file:
                file.read()
        except OSError:
            pass
