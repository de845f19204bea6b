"""Classes of a folder for cronwright: `classes` lists those that can be called, `call` calls one.

Plain Python 3.8 without packages. `classes` parses the modules and executes nothing of them. `call` imports
one module and runs in a process of its own, so that whatever the class does ends with that process.
"""

import ast
import os
import sys

# The values of a call, and a report, are bounded by the program that started this.
TRACEBACK_CHARS_MAX = 24_000
MESSAGE_CHARS_MAX = 4_000
REPORT_BYTES_MAX = 64 * 1024
MODULES_MAX = 10_000


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


def call(root, allow):
    """Calls the class that CRONWRIGHT_CALL names; the exit code."""
    text = os.environ.pop("CRONWRIGHT_CALL")
    mark = {"cronwright.class": 1}
    write_report({**mark, "ended": False})
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")
    # Modules are imported as `test.main`, and may themselves import `tasks.test.main` or what lies beside.
    sys.path[0:1] = [root, os.path.dirname(root)]
    sys.argv = [text.partition("(")[0]]
    try:
        path, args, kwargs = read_call(text)
        value = resolve(path, root, allow)(*args, **kwargs).main()
        if hasattr(value, "__await__"):
            import asyncio

            async def awaited(value):
                return await value

            value = asyncio.run(awaited(value))
    except SystemExit as ending:
        code = ending.code
        if code is None or code == 0:
            write_report({**mark, "ended": True, "result": None})
            return 0
        if not isinstance(code, int):
            write_report({**mark, "ended": True, "exception": exception_report(ending)})
            return 1
        write_report({**mark, "ended": True, "exit": True})
        return code
    except BaseException as error:
        report = exception_report(error)
        sys.stderr.write(report["traceback"])
        write_report({**mark, "ended": True, "exception": report})
        return 1
    write_report({**mark, "ended": True, "result": value})
    return 0


def main():
    verb, root, allow = sys.argv[1], os.path.abspath(sys.argv[2]), sys.argv[3:]
    if verb == "classes":
        import json

        json.dump(classes(root, allow), sys.stdout)
        return 0
    return call(root, allow)


if __name__ == "__main__":
    sys.exit(main())
