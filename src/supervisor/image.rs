//! What a job process executes: program, arguments and environment, ready for the kernel.
//!
//! The program is looked up here and executed as it is: `execvp` of the C library would hand a file without
//! `#!` to a shell.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;

use crate::supervisor::protocol::StartProcess;

/// Where a program without a slash is looked for when the environment has no PATH.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What is to be executed, ready for the kernel.
#[derive(Debug)]
pub(super) struct Image {
    path: CString,
    argv: Pointers,
    env: Pointers,
}

/// Texts and the null-terminated array of pointers to them.
#[derive(Debug)]
struct Pointers {
    // Owns what `array` points to; the texts are on the heap and never change.
    _texts: Vec<CString>,
    array: Vec<*const c_char>,
}

impl Image {
    /// The image of `process`, with the variables of `own` added to its environment. The error is one
    /// sentence.
    pub(super) fn new(
        process: &StartProcess,
        own: &BTreeMap<&str, String>,
    ) -> Result<Self, String> {
        let Some(name) = process.argv.first() else {
            return Err("the command is empty".to_owned());
        };
        let path = program_path(name, &process.env, Path::new(&process.working_dir))?;
        let argv = process.argv.iter().map(|argument| text("an argument", argument.as_bytes()));
        let mut env: BTreeMap<&str, &str> =
            process.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        env.extend(own.iter().map(|(name, value)| (*name, value.as_str())));
        let env = env.into_iter().map(|(name, value)| variable(name, value));
        Ok(Self {
            path: text("the program", path.as_os_str().as_bytes())?,
            argv: Pointers::new(argv.collect::<Result<_, _>>()?),
            env: Pointers::new(env.collect::<Result<_, _>>()?),
        })
    }

    /// Its program, as text for people.
    pub(super) fn program(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// Becomes the program, with one system call; returns only when that fails.
    pub(super) fn exec(&self) -> Errno {
        #[expect(unsafe_code, reason = "std has no exec with a given path and environment")]
        // SAFETY: the path and both arrays end with a null, and what they point to is alive.
        unsafe {
            libc::execve(self.path.as_ptr(), self.argv.array.as_ptr(), self.env.array.as_ptr());
        }
        let errno = io::Error::last_os_error().raw_os_error();
        errno.map_or(Errno::INVAL, Errno::from_raw_os_error)
    }
}

impl Pointers {
    fn new(texts: Vec<CString>) -> Self {
        let ends = [std::ptr::null()];
        let array = texts.iter().map(|text| CStr::as_ptr(text)).chain(ends).collect();
        Self { _texts: texts, array }
    }
}

fn text(what: &str, bytes: &[u8]) -> Result<CString, String> {
    CString::new(bytes).map_err(|_| {
        format!("{what} holds a zero byte: `{}`", String::from_utf8_lossy(bytes).escape_debug())
    })
}

/// That these can be variables of a process; the error is one sentence.
pub(super) fn check_variables(variables: &BTreeMap<&str, &str>) -> Result<(), String> {
    variables.iter().try_for_each(|(name, value)| variable(name, value).map(drop))
}

fn variable(name: &str, value: &str) -> Result<CString, String> {
    if name.is_empty() || name.contains('=') {
        return Err(format!("`{name}` is not a name for an environment variable"));
    }
    // The value may be a secret: it is not repeated.
    CString::new(format!("{name}={value}")).map_err(|_| {
        format!("the environment variable `{}` holds a zero byte", name.escape_debug())
    })
}

/// The absolute path of a program: as given when it has a slash, else from the PATH of `env`.
fn program_path(
    name: &str,
    env: &BTreeMap<String, String>,
    working_dir: &Path,
) -> Result<PathBuf, String> {
    if name.contains('/') {
        return Ok(working_dir.join(name));
    }
    let path = env.get("PATH").map_or(DEFAULT_PATH, String::as_str);
    let mut denied = None;
    for folder in path.split(':').filter(|_| !name.is_empty()) {
        let candidate = working_dir.join(folder).join(name);
        match accessat(CWD, &candidate, Access::EXEC_OK, AtFlags::empty()) {
            Ok(()) if candidate.is_file() => return Ok(candidate),
            Err(rustix::io::Errno::ACCESS) => denied = Some(candidate),
            Ok(()) | Err(_) => {}
        }
    }
    Err(match denied {
        Some(candidate) => {
            format!(
                "cannot start `{}`: {}",
                candidate.display(),
                io::Error::from_raw_os_error(libc::EACCES)
            )
        }
        None => format!("cannot start `{name}`: it is in no folder of the PATH `{path}`"),
    })
}
