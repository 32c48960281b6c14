"""Tells what the interpreter has loaded when it starts: start.py FD.

Then it starts another one that comes without site (-S), sets an audit hook, and only then does what site does: so it
hears what code in .pth files and sitecustomize does, even if that leaves nothing behind: start.py FD audit.
"""
import sys

_MOST = 200


def _listen(heard):
    """An audit hook that notes what reaches out of the interpreter. What it uses is there before site is."""
    names = {
        "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pty.spawn",
        "os.kill", "os.putenv", "os.unsetenv", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link",
        "os.symlink", "os.chmod", "os.chown", "os.truncate", "socket.connect", "socket.bind", "socket.getaddrinfo",
        "socket.gethostbyname", "socket.sendto", "urllib.Request", "ctypes.dlopen", "sys.addaudithook",
        "sys.settrace", "sys.setprofile", "import", "_thread.start_new_thread", "shutil.rmtree",
    }
    import posix
    writing = posix.O_WRONLY | posix.O_RDWR | posix.O_CREAT | posix.O_TRUNC

    def hook(event, arguments):
        try:
            if len(heard) >= _MOST:
                return
            if event == "open":
                path, mode, flags = arguments
                if not ((flags or 0) & writing or (isinstance(mode, str) and set(mode) & set("wax+"))):
                    return
                text = "open for writing: %s" % (path,)
            elif event in names:
                text = "%s: %s" % (event, arguments[0] if arguments else "")
            else:
                return
            # site reads .pth files by a codec, which is no doing of theirs
            if not text.startswith("import: encodings."):
                heard.append(text[:300])
        except Exception:
            heard.append("%s: ?" % (event,))

    sys.addaudithook(hook)


def _audited(number):
    heard = []
    _listen(heard)
    import site
    del heard[:]
    try:
        site.main()
    except BaseException:
        # the plain start has shown already whether users' interpreters start
        pass
    found = list(heard)
    import json
    import os
    os.write(number, (json.dumps({"audit": found}) + "\n").encode())
    os._exit(0)


def _plain(number):
    modules = sorted(name for name in sys.modules if not name.startswith("encodings."))
    paths = [path for path in sys.path[1:]]
    hooks = ["meta_path: " + getattr(f, "__name__", type(f).__name__) for f in sys.meta_path]
    hooks += ["path_hook: " + getattr(f, "__name__", type(f).__name__) for f in sys.path_hooks]
    import json
    import os
    threads = 0
    try:
        threads = len(os.listdir("/proc/self/task"))
    except OSError:
        pass
    if threads > 1:
        hooks.append("threads: %d" % threads)
    os.write(number, (json.dumps({"modules": modules, "paths": paths, "events": hooks}) + "\n").encode())
    # the audit takes this process's place: no child of ours is seen by anybody
    try:
        os.set_inheritable(number, True)
        os.execv(sys.executable, [sys.executable, "-S", sys.argv[0], str(number), "audit"])
    except (OSError, TypeError, ValueError):
        # there is no second look then; the first one has been told
        pass


if sys.argv[2:] == ["audit"]:
    _audited(int(sys.argv[1]))
else:
    _plain(int(sys.argv[1]))
