"""Classes of a folder for cronwright: `classes` lists those that can be called, `call` calls one, `serve` calls
one after the other.

Plain Python 3.8 without packages. `classes` parses the modules and executes nothing of them. `call` imports
one module and runs in a process of its own, so that whatever the class does ends with that process. `serve` is
given its calls by the supervisor over descriptor 3. It says on it that a call is over only if nothing of the call
can be seen to be left in the process; otherwise it ends, as `call` does.
"""

import ast
import os
import sys

# The values of a call, and a report, are bounded by the program that started this.
TRACEBACK_CHARS_MAX = 24_000
MESSAGE_CHARS_MAX = 4_000
REPORT_BYTES_MAX = 64 * 1024
MODULES_MAX = 10_000
# Where the supervisor gives calls, as src/supervisor/warm.rs says.
CONTROL = 3
# Where the supervisor gives this very file to the process of a user who cannot open it where it lies.
SCRIPT, SCRIPT_PATH = 4, "/proc/self/fd/4"
# How coarse the clock of a file system may be: what is younger may have been written after it was read.
FILE_CLOCK_NS = 20_000_000


def allowed(path, allow):
    """Whether a class may be called: its path, or a package above it, is named."""
    from fnmatch import fnmatchcase

    names = path.split(".")
    above = [".".join(names[:count]) for count in range(1, len(names) + 1)]
    return any(fnmatchcase(name, pattern) for pattern in allow for name in above)


# --- classes -----------------------------------------------------------------------------------------


def modules(root):
    """Dotted names and paths of the modules below a folder."""
    found = 0
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name.isidentifier() and name != "__pycache__")
        package = os.path.relpath(folder, root).split(os.sep) if folder != root else []
        for file in sorted(files):
            name, ending = os.path.splitext(file)
            if ending != ".py" or not name.isidentifier():
                continue
            found += 1
            if found > MODULES_MAX:
                raise SystemExit("there are more than %d modules below %s" % (MODULES_MAX, root))
            names = package if name == "__init__" else package + [name]
            if names:
                yield ".".join(names), os.path.join(folder, file)


def top_level(body):
    """Class definitions of a module, also behind `if` and `try`."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield node
        elif isinstance(node, (ast.If, ast.Try)):
            yield from top_level(node.body)
            yield from top_level(node.orelse)
            for handler in getattr(node, "handlers", []):
                yield from top_level(handler.body)
            yield from top_level(getattr(node, "finalbody", []))


def method(node, name, siblings, seen=()):
    """A method of a class or of its bases in the same module; `...` when another module may have it."""
    for item in node.body:
        if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)) and item.name == name:
            return item
    found = None
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id == "object":
            continue
        known = isinstance(base, ast.Name) and base.id in siblings and base.id not in seen
        of_base = method(siblings[base.id], name, siblings, seen + (base.id,)) if known else ...
        found = found or of_base
    return found


def signature(node, siblings):
    """The arguments that a class takes; None: that shows only when it is imported."""
    if node.decorator_list or node.keywords:
        return None
    init = method(node, "__init__", siblings)
    if init is ... or method(node, "__new__", siblings) is not None:
        return None
    if init is None:
        return {"parameters": [], "rest": False, "rest_named": False}
    if init.decorator_list:
        return None
    spec = init.args
    positional = [(arg, "position") for arg in spec.posonlyargs] + [(arg, "any") for arg in spec.args]
    without_default = len(positional) - len(spec.defaults)
    parameters = [
        {"name": arg.arg, "by": by, "required": at < without_default}
        for at, (arg, by) in enumerate(positional)
    ][1:]
    for arg, default in zip(spec.kwonlyargs, spec.kw_defaults):
        parameters.append({"name": arg.arg, "by": "name", "required": default is None})
    return {
        "parameters": parameters,
        "rest": spec.vararg is not None,
        "rest_named": spec.kwarg is not None,
    }


def classes(root, allow):
    """What stands below a folder: classes with a method `main`, others, and modules that cannot be read."""
    import warnings

    warnings.simplefilter("ignore")
    found = {"classes": {}, "without_main": [], "broken": {}}
    for module, path in modules(root):
        try:
            with open(path, "rb") as file:
                tree = ast.parse(file.read(), path)
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", None)
            where = " in line %d" % line if line else ""
            said = getattr(error, "msg", None) or str(error)
            found["broken"][module] = "%s%s: %s" % (type(error).__name__, where, said)
            continue
        nodes = {node.name: node for node in top_level(tree.body)}
        for name, node in nodes.items():
            class_path = module + "." + name
            if not allowed(class_path, allow):
                continue
            if method(node, "main", nodes) is None:
                found["without_main"].append(class_path)
            else:
                found["classes"][class_path] = signature(node, nodes)
    return found


# --- call --------------------------------------------------------------------------------------------


class NotCallable(Exception):
    """The path leads to no class that may be called."""


def read_call(text):
    """Path, arguments and named arguments of a call that is written as Python writes it."""
    call = ast.parse(text, mode="eval").body
    path, node = [], call.func
    while isinstance(node, ast.Attribute):
        path.append(node.attr)
        node = node.value
    path.append(node.id)
    args = [ast.literal_eval(node) for node in call.args]
    kwargs = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    return list(reversed(path)), args, kwargs


def is_below(names, root):
    """Whether a module stands in the folder; nothing else is ever imported by name."""
    base = os.path.join(root, *names)
    return os.path.isfile(base + ".py") or os.path.isfile(os.path.join(base, "__init__.py"))


def prefer(name, root):
    """A folder without `__init__.py` would give way to any package of its name, as `test` is one of Python's."""
    import types

    folder = os.path.join(root, name)
    if list(getattr(sys.modules.get(name), "__path__", ())) == [folder]:
        return
    if os.path.isdir(folder) and not os.path.isfile(os.path.join(folder, "__init__.py")):
        package = types.ModuleType(name)
        package.__path__ = [folder]
        sys.modules[name] = package


def resolve(path, root, allow):
    """The class of a path: defined in that very module below the folder, with a method `main`."""
    import importlib

    module_name, name = ".".join(path[:-1]), path[-1]
    if not module_name or not allowed(".".join(path), allow):
        raise NotCallable("`%s` is not one of the classes that may be called" % ".".join(path))
    if not is_below(path[:-1], root):
        raise NotCallable("there is no module `%s` in %s" % (module_name, root))
    prefer(path[0], root)
    module = importlib.import_module(module_name)
    found = vars(module).get(name)
    if found is None:
        raise NotCallable("the module `%s` has no class `%s`" % (module_name, name))
    if not isinstance(found, type) or found.__module__ != module_name:
        raise NotCallable("`%s` is not a class that `%s` itself defines" % (name, module_name))
    if not callable(getattr(found, "main", None)):
        raise NotCallable("the class `%s` has no method `main`" % ".".join(path))
    return found


def write_report(report):
    """Puts the report where the supervisor looks."""
    import json

    def as_json(value):
        try:
            return json.dumps(value, allow_nan=False, ensure_ascii=False, default=str)
        except (TypeError, ValueError, RecursionError):
            return json.dumps(repr(value)[:REPORT_BYTES_MAX], ensure_ascii=False)

    def encoded(report):
        fields = ", ".join("%s: %s" % (json.dumps(key), as_json(report[key])) for key in report)
        return ("{%s}" % fields).encode("utf-8", "backslashreplace")

    text = encoded(report)
    if len(text) > REPORT_BYTES_MAX:
        print("cronwright: the return value is not kept, it has %d bytes" % len(text), file=sys.stderr)
        text = encoded({**report, "result": None})
    # In place: the process may run as a user who can write this file and nothing beside it.
    with open(os.environ["CRONWRIGHT_RESULT"], "wb", buffering=0) as file:
        file.write(text)


def middle_left_out(text, chars_max):
    """The text, with its middle left out when it is too long."""
    if len(text) <= chars_max:
        return text
    half = chars_max // 2
    return "%s\n... %d characters left out ...\n%s" % (text[:half], len(text) - chars_max, text[-half:])


def exception_report(error):
    """Type, message and traceback, without this file's own frames."""
    import traceback

    own = 0
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename == __file__:
        frame = frame.tb_next
        own += 1
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else kind.__module__ + "." + kind.__qualname__
    if kind is NotCallable:
        name = "NotCallable"
    try:
        message = str(error)
    except Exception as of_text:  # its own __str__ fails
        message = "its text cannot be had: %r" % of_text
    lines = traceback.format_exception(kind, error, frame or error.__traceback__)
    return {
        "type": name,
        "message": middle_left_out(message, MESSAGE_CHARS_MAX),
        "traceback": middle_left_out("".join(lines), TRACEBACK_CHARS_MAX),
    }


def prepare(root):
    """What a process does once, before its calls."""
    if __file__ == SCRIPT_PATH:
        os.set_inheritable(SCRIPT, False)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")
    # Modules are imported as `test.main`, and may themselves import `tasks.test.main` or what lies beside.
    sys.path[0:1] = [root, os.path.dirname(root)]


def call(root, allow, importing=lambda act: act()):
    """Calls the class that CRONWRIGHT_CALL names: the exit code, and whether another call may follow."""
    text = os.environ.pop("CRONWRIGHT_CALL")
    mark = {"cronwright.class": 1}
    write_report({**mark, "ended": False})
    sys.argv = [text.partition("(")[0]]
    is_imported = False
    try:
        path, args, kwargs = read_call(text)
        found = importing(lambda: resolve(path, root, allow))
        is_imported = True
        value = found(*args, **kwargs).main()
        if hasattr(value, "__await__"):
            import importlib

            asyncio = importing(lambda: importlib.import_module("asyncio"))

            async def awaited(value):
                return await value

            value = asyncio.run(awaited(value))
    except SystemExit as ending:
        code = ending.code
        if code is None or code == 0:
            write_report({**mark, "ended": True, "result": None})
            return 0, False
        if not isinstance(code, int):
            write_report({**mark, "ended": True, "exception": exception_report(ending)})
            return 1, False
        write_report({**mark, "ended": True, "exit": True})
        return code, False
    except BaseException as error:
        report = exception_report(error)
        sys.stderr.write(report["traceback"])
        write_report({**mark, "ended": True, "exception": report})
        is_plain = isinstance(error, Exception) and not isinstance(error, (RecursionError, MemoryError))
        return 1, is_imported and is_plain
    write_report({**mark, "ended": True, "result": value})
    return 0, True


# --- serve -------------------------------------------------------------------------------------------


def next_order(control):
    """The descriptors of the next call: what is said, its stdout, its stderr; None: there is no next one."""
    import _socket
    import array

    fds = array.array("i")
    said, ancillary, _, _ = control.recvmsg(1, _socket.CMSG_SPACE(3 * fds.itemsize))
    if not said:
        return None
    for _, _, data in ancillary:
        fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


def stamp(path):
    """What changes with a file or folder; None: it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def names(folder):
    """What could be imported from a folder; None: it is not there."""
    try:
        found = os.listdir(folder)
    except OSError:
        return None
    return {name for name in found if "." not in name or name.endswith((".py", ".so"))} - {"__pycache__"}


class Loaded:
    """The files that modules were loaded from, and the folders that they stand in, as they were then."""

    def __init__(self, root):
        self.above = os.path.join(os.path.dirname(root), "")
        self.root = os.path.join(root, "")
        self.stamps = {}
        self.folders = {root: names(root)}
        self.seen = set()

    def is_unchanged(self):
        """Whether what is loaded is what would be loaded now."""
        files = all(stamp(path) == former for path, former in self.stamps.items())
        return files and all(names(path) == former for path, former in self.folders.items())

    def note(self, since_ns):
        """Takes up what was loaded; whether none of it may have been written since."""
        is_settled = True
        for name in sys.modules.keys() - self.seen:
            self.seen.add(name)
            path = getattr(sys.modules[name], "__file__", None)
            # Installed packages are many, and change rarely: docs/class.md.
            if not isinstance(path, str) or not path.startswith(self.above) or "-packages" + os.sep in path:
                continue
            folder = os.path.dirname(path)
            if path.startswith(self.root) and folder not in self.folders:
                self.folders[folder] = names(folder)
            self.stamps[path] = found = stamp(path)
            is_settled = is_settled and found is not None and found[1] < since_ns - FILE_CLOCK_NS
        return is_settled


class State:
    """What a call may change of its process: put back where that can be, noticed where it cannot."""

    def __init__(self):
        self.env = dict(os.environ)
        self.path = list(sys.path)
        self.streams = (sys.stdin, sys.stdout, sys.stderr)
        self.recursion = sys.getrecursionlimit()
        self.folder = self.where()
        self.mask = self.file_mask()
        self.signals = self.handlers()
        self.registered = self.at_exit()

    @staticmethod
    def where():
        try:
            status = os.stat(".")
        except OSError:
            return None
        return os.getcwd(), status.st_dev, status.st_ino

    @staticmethod
    def file_mask():
        mask = os.umask(0o077)
        os.umask(mask)
        return mask

    @staticmethod
    def handlers():
        import _signal

        blocked = _signal.pthread_sigmask(_signal.SIG_BLOCK, [])
        return [_signal.getsignal(number) for number in range(1, 32)], blocked

    @staticmethod
    def at_exit():
        import atexit

        return atexit._ncallbacks()

    def importing(self, act):
        """What modules register when they are imported is theirs, and no call's."""
        before = self.at_exit()
        found = act()
        self.registered += self.at_exit() - before
        return found

    def is_clean(self):
        """Whether nothing is left that goes on, or that the next call would meet."""
        import _signal

        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            return False  # a child process
        except ChildProcessError:
            pass
        return (
            len(sys._current_frames()) == 1
            and self.at_exit() <= self.registered
            and self.where() == self.folder
            and self.file_mask() == self.mask
            and self.handlers() == self.signals
            and not any(_signal.getitimer(timer)[0] for timer in (0, 1, 2))
            and sys.gettrace() is None
            and sys.getprofile() is None
            and not any(stream.closed for stream in self.streams if stream)
        )

    def put_back(self):
        if dict(os.environ) != self.env:
            os.environ.clear()
            os.environ.update(self.env)
        sys.path[:] = self.path
        sys.stdin, sys.stdout, sys.stderr = self.streams
        sys.setrecursionlimit(self.recursion)
        sys.argv = [""]
        for name in ("last_type", "last_value", "last_traceback", "last_exc"):
            vars(sys).pop(name, None)


def begin_anew(fd, arguments):
    """Becomes a fresh interpreter with the same call: the process, which is known by its number, stays."""
    for inherited in [fd, CONTROL] + ([SCRIPT] if __file__ == SCRIPT_PATH else []):
        os.set_inheritable(inherited, True)
    fixed = [sys.executable, "-Xfaulthandler", os.path.abspath(__file__), "serve-%d" % fd]
    os.execve(sys.executable, fixed + arguments, os.environ)


def take(fd):
    """What is said in an order, once."""
    import json

    text = os.pread(fd, os.fstat(fd).st_size, 0)
    os.close(fd)
    return json.loads(text)


def flush_everything(streams):
    """What was printed goes where it was printed: also what a library in C has printed."""
    for stream in streams:
        stream.flush()
    try:
        import ctypes

        ctypes.CDLL(None).fflush(None)
    except (ImportError, OSError, AttributeError):
        return False
    return True


def serve(root, allow, first):
    """Calls one class after the other; the exit code of the last."""
    import _socket
    import gc
    import importlib
    import time

    control = _socket.socket(fileno=CONTROL)
    os.set_inheritable(CONTROL, False)
    prepare(root)
    loaded, state = Loaded(root), State()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    code = 0
    while True:
        since_ns = time.time_ns()
        fd = first
        if fd is None:
            order = next_order(control)
            if order is None:
                return code
            fd, out, err = order
            since_ns = time.time_ns()
            for own, stream in ((out, 1), (err, 2)):
                os.dup2(own, stream)
                os.close(own)
            if not loaded.is_unchanged():
                begin_anew(fd, [root] + allow)
        first = None
        os.environ.update(take(fd))
        importlib.invalidate_caches()
        code, may_go_on = call(root, allow, state.importing)
        gc.collect()
        if not (may_go_on and state.is_clean() and loaded.note(since_ns)):
            return code
        state.put_back()
        if not flush_everything((sys.stdout, sys.stderr)):
            return code
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        try:
            control.send(bytes([code]))
        except OSError:
            return code  # nobody wants another call of this process
        gc.freeze()


def main():
    verb, root, allow = sys.argv[1], os.path.abspath(sys.argv[2]), sys.argv[3:]
    if verb == "classes":
        import json

        json.dump(classes(root, allow), sys.stdout)
        return 0
    if verb.startswith("serve"):
        first = verb.partition("-")[2]
        return serve(root, allow, int(first) if first else None)
    prepare(root)
    return call(root, allow)[0]


if __name__ == "__main__":
    sys.exit(main())
