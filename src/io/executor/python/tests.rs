#![expect(clippy::disallowed_methods, reason = "the tests write modules and run the interpreter")]

use std::fs;
use std::process::Stdio;

use super::*;
use crate::engine::execution::Exception;
use crate::engine::execution::Failed;
use crate::io::executor::report::Report;

const MODULE: &str = r#"
import datetime, os, sys
from subprocess import Popen
from tasks.test import words

class Test:
    def __init__(self, name: str, age: int, flag=False, *, lang="en"):
        self.name, self.age, self.flag, self.lang = name, age, flag, lang

    def main(self) -> str:
        print("hello", self.name)
        return f"{words.GREETING} {self.name} {self.age} {self.flag} {self.lang}"

class Sub(Test):
    async def main(self):
        return [self.age, None, {"a": 1.5}]

class Act:
    def __init__(self, what): self.what = what
    def main(self): return getattr(self, self.what)()
    def raises(self): raise ValueError("bad äö") from KeyError("x")
    def leaves_well(self): sys.exit()
    def leaves_with_3(self): sys.exit(3)
    def leaves_with_words(self): sys.exit("gone")
    def is_gone(self): os._exit(0)
    def crashes(self): os.kill(os.getpid(), 11)
    def recurses(self): return self.recurses()
    def returns_a_date(self): return datetime.datetime(2026, 1, 2)
    def returns_a_flood(self): return "x" * 100000
    def returns_no_number(self): return float("nan")
    def raises_a_flood(self): raise ValueError("y" * 1000000)
    def fails_to_say(self):
        class Mute(Exception):
            def __str__(self): raise RuntimeError("mute")
        raise Mute()

class Kwargs(Act):
    def __init__(self, *args, **kwargs): pass

class WithoutMain: pass
"#;

struct Tasks(tempfile::TempDir);

impl Tasks {
    fn new() -> Self {
        let tasks = Self(tempfile::tempdir().unwrap());
        // Without `__init__.py`: Python has a package `test` of its own.
        tasks.write("tasks/test/main.py", MODULE);
        tasks.write("tasks/test/words.py", "GREETING = 'hi'\n");
        tasks.write("tasks/broken.py", "import os\ndef (\n");
        tasks.write(
            "tasks/imports_what_is_missing.py",
            "import nowhere\nclass A:\n  def main(self): pass\n",
        );
        tasks
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn python(&self, allow: &[&str]) -> Python {
        Python {
            interpreter: "python3".into(),
            root: self.0.path().join("tasks"),
            allow: allow.iter().copied().map(str::to_owned).collect(),
            keep: None,
        }
    }

    /// What a call came to: how the process ended, the report, and what it printed.
    fn call(&self, text: &str) -> (std::process::ExitStatus, Report, String) {
        let caller = self.python(&["*"]).install(self.0.path()).unwrap();
        let CallProcess { argv, call, .. } =
            caller.process(&Call::parse(text).unwrap(), None, false);
        let result = self.0.path().join("result");
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]).env(CALL_VARIABLE, call).env("CRONWRIGHT_RESULT", &result);
        let said = command.current_dir("/").stdin(Stdio::null()).output().unwrap();
        let report = fs::read_to_string(&result).unwrap();
        assert!(report.len() <= 64 << 10);
        (said.status, Report::parse(&report).unwrap(), String::from_utf8(said.stdout).unwrap())
    }

    fn raised(&self, text: &str) -> Exception {
        match self.call(text) {
            (status, Report::Failed(Failed::Exception, exception), _)
                if status.code() == Some(1) =>
            {
                exception
            }
            other => panic!("{other:?}"),
        }
    }
}

fn returned(value: &str) -> Report {
    Report::Returned(Some(value.to_owned()))
}

#[test]
fn classes_are_found_without_importing_their_modules() {
    let tasks = Tasks::new();
    let found = |allow: &[&str]| match tasks.python(allow).classes() {
        PythonClasses::Found(found) => found,
        other @ (PythonClasses::Nowhere | PythonClasses::Unknown(_)) => panic!("{other:?}"),
    };
    let all = found(&["*"]);
    let paths: Vec<&str> = all.classes.keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        [
            "imports_what_is_missing.A",
            "test.main.Act",
            "test.main.Kwargs",
            "test.main.Sub",
            "test.main.Test"
        ]
    );
    let parameters = |path: &str| {
        let signature = all.classes[path].as_ref().unwrap();
        let names =
            signature.parameters.iter().map(|p| format!("{}:{:?}:{}", p.name, p.by, p.required));
        (names.collect::<Vec<_>>().join(" "), signature.rest, signature.rest_named)
    };
    let of_test = "name:Any:true age:Any:true flag:Any:false lang:Name:false".to_owned();
    assert_eq!(parameters("test.main.Test"), (of_test.clone(), false, false));
    assert_eq!(parameters("test.main.Sub"), (of_test, false, false), "as of its base");
    assert_eq!(parameters("test.main.Kwargs"), (String::new(), true, true));
    assert!(all.without_main.contains("test.main.WithoutMain"));
    assert_eq!(all.broken["broken"], "SyntaxError in line 2: invalid syntax");

    assert_eq!(found(&["test.main.T*"]).classes.keys().collect::<Vec<_>>(), ["test.main.Test"]);
    assert_eq!(found(&["test"]).classes.len(), 4, "a package and all below it");
    assert_eq!(found(&["tes"]).classes.len(), 0);
}

#[test]
fn that_no_classes_can_be_found_is_said() {
    let tasks = Tasks::new();
    let told = |python: &Python| match python.classes() {
        PythonClasses::Unknown(why) => why.to_string(),
        other @ (PythonClasses::Nowhere | PythonClasses::Found(_)) => panic!("{other:?}"),
    };
    let nowhere = Python { root: "/nowhere".into(), ..tasks.python(&["*"]) };
    assert_eq!(told(&nowhere), "there is no folder /nowhere");
    let missing = Python { interpreter: "/nowhere/python".into(), ..tasks.python(&["*"]) };
    assert!(told(&missing).starts_with("cannot ask `/nowhere/python`: No such file"));
    let other = Python { interpreter: "true".into(), ..tasks.python(&["*"]) };
    assert!(told(&other).starts_with("`true` does not say what was asked"));
}

#[test]
fn the_fingerprint_tells_whether_a_module_was_written() {
    let tasks = Tasks::new();
    let python = tasks.python(&["*"]);
    let first = python.fingerprint().unwrap();
    assert_eq!(python.fingerprint().unwrap(), first);
    tasks.write("tasks/test/__pycache__/main.py", "");
    tasks.write("tasks/test/notes.txt", "");
    assert_eq!(python.fingerprint().unwrap(), first);
    tasks.write("tasks/new/one.py", "");
    assert_ne!(python.fingerprint().unwrap(), first);
    assert!(tasks.python(&["*"]).fingerprint().is_ok());
    fs::remove_dir_all(tasks.0.path().join("tasks")).unwrap();
    python.fingerprint().unwrap_err();
}

#[test]
fn a_class_of_the_seeds_shape_is_called_with_typed_arguments() {
    let tasks = Tasks::new();
    let (status, report, printed) = tasks.call(r#"test.main.Test("kinit", 1314, True)"#);
    assert_eq!((status.code(), report), (Some(0), returned(r#""hi kinit 1314 True en""#)));
    assert_eq!(printed, "hello kinit\n");
    let (_, report, _) = tasks.call(r#"test.main.Test(name="a\"ä\n", age=-3, lang="zh")"#);
    assert_eq!(report, returned(r#""hi a\"ä\n -3 False zh""#));
    let (_, report, _) = tasks.call("test.main.Sub(None, 123456789012345678901234567890)");
    assert_eq!(report, returned(r#"[123456789012345678901234567890, null, {"a": 1.5}]"#));
}

#[test]
fn whatever_a_class_does_becomes_a_report() {
    let tasks = Tasks::new();
    let act = |what: &str| {
        let (status, report, _) = tasks.call(&format!("test.main.Act(\"{what}\")"));
        (status.code(), report)
    };
    assert_eq!(act("leaves_well"), (Some(0), Report::Returned(None)));
    assert_eq!(act("leaves_with_3"), (Some(3), Report::Exited));
    assert_eq!(act("is_gone"), (Some(0), Report::Unended));
    assert_eq!(act("crashes"), (None, Report::Unended));
    assert_eq!(act("returns_a_date"), (Some(0), returned("\"2026-01-02 00:00:00\"")));
    assert_eq!(act("returns_no_number"), (Some(0), returned("\"nan\"")));
    assert_eq!(act("returns_a_flood"), (Some(0), Report::Returned(None)));

    let raised = |what: &str| tasks.raised(&format!("test.main.Act(\"{what}\")"));
    let error = raised("raises");
    assert_eq!((error.kind.as_str(), error.message.as_str()), ("ValueError", "bad äö"));
    let traceback = error.traceback.unwrap();
    assert!(traceback.starts_with("KeyError: 'x'"), "the cause comes first: {traceback}");
    assert!(traceback.contains("in raises") && !traceback.contains("worker-"), "{traceback}");
    assert_eq!(raised("recurses").kind, "RecursionError");
    let error = raised("leaves_with_words");
    assert_eq!((error.kind.as_str(), error.message.as_str()), ("SystemExit", "gone"));
    assert!(raised("raises_a_flood").message.contains("996000 characters left out"));
    assert_eq!(raised("fails_to_say").message, "its text cannot be had: RuntimeError('mute')");
}

#[test]
fn only_a_class_that_the_module_itself_defines_is_called() {
    let tasks = Tasks::new();
    for (call, told) in [
        (
            "test.main.Popen(\"touch /tmp/never\")",
            "`Popen` is not a class that `test.main` itself defines",
        ),
        ("test.main.datetime()", "`datetime` is not a class that `test.main` itself defines"),
        ("test.main.WithoutMain()", "the class `test.main.WithoutMain` has no method `main`"),
        ("test.main.Missing()", "the module `test.main` has no class `Missing`"),
        ("subprocess.Popen(\"true\")", "there is no module `subprocess` in "),
        ("test.main.os.system(\"true\")", "there is no module `test.main.os` in "),
        ("test.support.os.X()", "there is no module `test.support.os` in "),
        ("Test()", "`Test` is not one of the classes that may be called"),
    ] {
        let error = tasks.raised(call);
        assert_eq!(error.kind, "NotCallable");
        assert!(error.message.starts_with(told), "{call}: {}", error.message);
    }
    let error = tasks.raised("imports_what_is_missing.A()");
    assert_eq!(error.kind, "ModuleNotFoundError");
    assert_eq!(tasks.raised("broken.A()").kind, "SyntaxError");
    let error = tasks.raised("test.main.Test(1)");
    assert_eq!(error.kind, "TypeError");
}
