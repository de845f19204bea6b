//! What this process finds around it: variables, folders, the settings file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::cli::exit::{Exit, Failure};
use crate::daemon::settings::{self, Environment, Flags, Places, SOCKET_PATH_BYTES_MAX};
use crate::io::files::{FileProblem, read_alone};
use crate::spec::trigger::Language;
use crate::time;

/// The socket's name in the state directory.
const SOCKET_NAME: &str = "cronwright.sock";

/// The variables of this process; those that are not UTF-8 are left out.
pub fn variables() -> BTreeMap<String, String> {
    let text = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

/// The environment of this process.
pub fn environment() -> Result<Environment, Failure> {
    let cwd = std::env::current_dir().map_err(|error| {
        Failure::new(Exit::Usage, format!("cannot find the current folder: {error}"))
    })?;
    let present = Places::to_look_for(&cwd).into_iter().filter(|path| path.exists()).collect();
    Ok(Environment {
        variables: variables(),
        cwd,
        is_root: rustix::process::geteuid().is_root(),
        host_name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        present,
    })
}

/// The language of this process's messages, by the first of the usual variables that is set.
pub fn language() -> Language {
    let value = |name: &&str| std::env::var_os(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(value).unwrap_or_default();
    let is_chinese = locale.to_string_lossy().starts_with("zh");
    if is_chinese { Language::Chinese } else { Language::English }
}

/// The bytes of the settings file, if there is one.
pub fn settings_file(places: &Places) -> Result<Option<Vec<u8>>, Failure> {
    let Some(path) = &places.file else { return Ok(None) };
    match read_alone(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(FileProblem::Vanished) => Ok(None),
        Err(problem) => {
            let message = format!("cannot read the settings {}: {problem}", path.display());
            Err(Failure::new(Exit::BadSettings, message))
        }
    }
}

/// Puts the zone data of the settings in force, before the first zone is read. That it cannot be used is said
/// by the verbs that need the settings.
pub fn choose_zone_source(flags: &Flags) {
    let Ok(environment) = environment() else { return };
    let places = Places::find(flags, &environment);
    let file = settings_file(&places).ok().flatten();
    if let Some(source) = settings::zone_source(&places, file.as_deref()) {
        drop(time::choose_zone_source(&source));
    }
}

/// The socket that `--server` names, else the first that the settings say, else the one in the state
/// directory.
pub fn socket(server: Option<&str>, flags: &Flags) -> Result<PathBuf, Failure> {
    let path = match server {
        None => usual_socket(flags)?,
        Some(server) => named_socket(server)?,
    };
    let path = shortened(path);
    if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        let shown = path.display();
        let message =
            format!("the socket's path {shown} is longer than {SOCKET_PATH_BYTES_MAX} bytes");
        return Err(Failure::new(Exit::Usage, message)
            .help("name a shorter one with `--server unix:PATH` (`serve --listen unix:PATH`)"));
    }
    Ok(path)
}

/// Where a daemon with the same settings listens. Settings that cannot be used keep nobody from asking a
/// daemon that runs.
fn usual_socket(flags: &Flags) -> Result<PathBuf, Failure> {
    let environment = environment()?;
    let places = Places::find(flags, &environment);
    let file = settings_file(&places).ok().flatten();
    let (settings, _) = settings::load(&places, file.as_deref(), flags, &environment);
    let listen = settings.and_then(|settings| settings.listen.into_iter().next());
    Ok(listen.unwrap_or_else(|| places.state_dir.join(SOCKET_NAME)))
}

fn named_socket(server: &str) -> Result<PathBuf, Failure> {
    match server.strip_prefix("unix:") {
        Some(path) => Ok(PathBuf::from(path)),
        None if server.starts_with(['/', '.']) => Ok(PathBuf::from(server)),
        None => Err(Failure::new(
            Exit::Usage,
            format!("`--server {server}` is not the address of a daemon"),
        )
        .help("write `unix:PATH`; other addresses are not supported yet")),
    }
}

/// The path from the current folder, which may be much shorter than the whole.
fn shortened(path: PathBuf) -> PathBuf {
    let relative = std::env::current_dir().ok().and_then(|cwd| {
        path.strip_prefix(cwd)
            .ok()
            .filter(|rest| !rest.as_os_str().is_empty())
            .map(Path::to_path_buf)
    });
    relative.unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_socket() {
        let flags = Flags { state_dir: Some("/state".into()), ..Flags::default() };
        let socket = |server: Option<&str>| socket(server, &flags);
        assert_eq!(socket(None), Ok("/state/cronwright.sock".into()));
        assert_eq!(socket(Some("unix:x.sock")), Ok("x.sock".into()));
        assert_eq!(socket(Some("./x.sock")), Ok("./x.sock".into()));
        assert_eq!(socket(Some("http://h:1")).unwrap_err().exit, Exit::Usage);
        let long = format!("/{}", "x".repeat(107));
        assert_eq!(socket(Some(&long)).unwrap_err().exit, Exit::Usage);
    }
}
