//! What this process finds around it: variables, folders, the settings file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::cli::exit::{Exit, Failure};
use crate::daemon::settings::{self, Environment, Flags, Listen, Places, SOCKET_PATH_BYTES_MAX};
use crate::io::files::{FileProblem, read_alone};
use crate::io::http::address::HostPort;
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

/// The daemon that `--server` names, else the first place where one listens by the settings, else the socket in
/// the state directory.
pub fn server(server: Option<&str>, flags: &Flags) -> Result<Listen, Failure> {
    let place = match server {
        None => usual_place(flags)?,
        Some(server) => named_place(server)?,
    };
    let path = match place {
        Listen::Unix(path) => shortened(path),
        Listen::Tcp(address) => return Ok(Listen::Tcp(address)),
    };
    if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        let shown = path.display();
        let message =
            format!("the socket's path {shown} is longer than {SOCKET_PATH_BYTES_MAX} bytes");
        return Err(Failure::new(Exit::Usage, message)
            .help("name a shorter one with `--server unix:PATH` (`serve --listen unix:PATH`)"));
    }
    Ok(Listen::Unix(path))
}

/// Where a daemon with the same settings listens: at a socket, if there is one. Settings that cannot be used keep
/// nobody from asking a daemon that runs.
fn usual_place(flags: &Flags) -> Result<Listen, Failure> {
    let environment = environment()?;
    let places = Places::find(flags, &environment);
    let file = settings_file(&places).ok().flatten();
    let (settings, _) = settings::load(&places, file.as_deref(), flags, &environment);
    let mut listen = settings.map(|settings| settings.listen).unwrap_or_default();
    listen.sort_by_key(|place| place.tcp().is_some());
    let usual = || Listen::Unix(places.state_dir.join(SOCKET_NAME));
    Ok(listen.into_iter().next().unwrap_or_else(usual))
}

fn named_place(server: &str) -> Result<Listen, Failure> {
    if let Some(path) = server.strip_prefix("unix:") {
        return Ok(Listen::Unix(PathBuf::from(path)));
    }
    if server.starts_with(['/', '.']) {
        return Ok(Listen::Unix(PathBuf::from(server)));
    }
    HostPort::parse(server).map(Listen::Tcp).ok_or_else(|| {
        let message = format!("`--server {server}` is not the address of a daemon");
        let help = if server.starts_with("https://") {
            "this program does not speak TLS: write `http://HOST:PORT` of a tunnel, for example of ssh"
        } else {
            "write `unix:PATH` or `http://HOST:PORT`"
        };
        Failure::new(Exit::Usage, message).help(help)
    })
}

/// The token to show: of the file, else of `CRONWRIGHT_TOKEN`.
pub fn token(file: Option<&Path>) -> Result<Option<String>, Failure> {
    let Some(path) = file else {
        return Ok(environment()?.value("CRONWRIGHT_TOKEN").map(str::to_owned));
    };
    let read = read_alone(path).map_err(|problem| problem.to_string());
    let text =
        read.and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned()));
    let text = text.map_err(|why| {
        Failure::new(Exit::Usage, format!("cannot read the token in {}: {why}", path.display()))
    })?;
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
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
    fn a_server_is_a_socket_or_an_address() {
        let flags = Flags { state_dir: Some("/state".into()), ..Flags::default() };
        let asked = |asked: Option<&str>| match server(asked, &flags) {
            Ok(Listen::Unix(path)) => path.display().to_string(),
            Ok(Listen::Tcp(address)) => format!("tcp {address}"),
            Err(failure) => failure.message,
        };
        assert_eq!(asked(None), "/state/cronwright.sock");
        assert_eq!(asked(Some("unix:x.sock")), "x.sock");
        assert_eq!(asked(Some("./x.sock")), "./x.sock");
        assert_eq!(asked(Some("http://h:1")), "tcp h:1");
        assert_eq!(asked(Some("h")), "`--server h` is not the address of a daemon");
        assert_eq!(
            asked(Some("https://h:1")),
            "`--server https://h:1` is not the address of a daemon"
        );
        let long = format!("/{}", "x".repeat(107));
        assert!(asked(Some(&long)).ends_with("is longer than 107 bytes"));
    }
}
