//! Where manifests are read from: folders, and a repository elsewhere.

use std::path::PathBuf;
use std::time::Duration;

use crate::daemon::settings::environment::{Environment, Flags, Places};
use crate::diagnostic::{Diagnostic, codes, quoted};
use crate::io::git::{GitRef, GitUrl, NameFault, Remote, SOURCE_PREFIX, SshChoice, tree_path};
use crate::spec::manifest::lower::layer::read_duration;
use crate::spec::manifest::lower::site::Site;
use crate::spec::settings::{RawGit, RawSettings};

/// The folder where none is named, here and in a repository.
const DEFAULT_SOURCE: &str = "jobs.d";
/// How often a repository is asked what is new, where nothing is said.
const DEFAULT_INTERVAL: Duration = Duration::from_mins(1);
/// How often at most.
const INTERVAL_MIN: Duration = Duration::from_secs(5);

/// A folder of manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFolder {
    /// As the settings or the flag name it: the name of the source, and what paths of its files begin with.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// A repository elsewhere that is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitSettings {
    /// Its name as a source: `git:`, and the folder that paths of its files begin with.
    pub name: String,
    /// What is followed.
    pub remote: Remote,
    /// How often it is asked what is new.
    pub interval: Duration,
}

/// The folders, flags before the file. Beside a repository there are none unless they are named.
pub(super) fn read(raw: &RawSettings, flags: &Flags, places: &Places) -> Vec<SourceFolder> {
    let folder = |base: &PathBuf, name: &str| SourceFolder {
        name: name.strip_suffix('/').unwrap_or(name).to_owned(),
        path: base.join(name),
    };
    if !flags.sources.is_empty() {
        return flags.sources.iter().map(|name| folder(&places.cwd, name)).collect();
    }
    match &raw.sources {
        Some(names) => names.iter().map(|name| folder(&places.base_dir, name)).collect(),
        None if git_of(raw).is_some() => Vec::new(),
        None => vec![folder(&places.base_dir, DEFAULT_SOURCE)],
    }
}

/// The repository elsewhere. Flags that name folders say where all manifests are; what is wrong with the
/// repository is said all the same.
pub(super) fn read_git(
    raw: &RawSettings,
    site: Option<&Site<'_>>,
    flags: &Flags,
    environment: &Environment,
    out: &mut Vec<Diagnostic>,
) -> Option<GitSettings> {
    let (git, site) = git_of(raw).zip(site)?;
    let site = site.child("source").child("git");
    let url = named(
        GitUrl::parse(&git.url),
        &git.url,
        "the URL of a repository",
        &site.child("url"),
        out,
    );
    let reference = match &git.reference {
        Some(text) => named(GitRef::parse(text), text, "a ref", &site.child("ref"), out),
        None => Some(GitRef::default()),
    };
    let path = git.path.as_deref().unwrap_or(DEFAULT_SOURCE);
    let path = tree_path(path).map_err(|error| {
        let help = "write a path such as `jobs.d`, or `.` for all of it";
        let complaint = site.child("path").diagnostic(codes::BAD_GIT_SOURCE, error.to_string());
        out.push(complaint.help(help));
    });
    let interval = interval(git, &site, out);
    let path = path.ok()?;
    if let (true, Some(name)) = (flags.sources.is_empty(), overlap(raw, &path)) {
        let message = format!(
            "files of the repository and of the folder {} would have the same paths",
            quoted(name)
        );
        let help =
            "give one of the two another name: the folder here, or the folder in the repository";
        out.push(site.key("path").diagnostic(codes::BAD_GIT_SOURCE, message).help(help));
    }
    let ssh = match (environment.value("GIT_SSH_COMMAND"), environment.value("GIT_SSH")) {
        (Some(command), _) => SshChoice::Command(command.to_owned()),
        (None, Some(_)) => SshChoice::Program,
        (None, None) => SshChoice::Configured,
    };
    let require_signed = git.require_signed.unwrap_or(false);
    let name = format!("{SOURCE_PREFIX}{}", if path.is_empty() { "." } else { &path });
    let remote = Remote { url: url?, reference: reference?, path, require_signed, ssh };
    let settings = GitSettings { name, remote, interval: interval? };
    flags.sources.is_empty().then_some(settings)
}

fn git_of(raw: &RawSettings) -> Option<&RawGit> {
    raw.source.as_ref().map(|source| &source.git)
}

/// A value of the repository, or a complaint about it.
fn named<T>(
    parsed: Result<T, NameFault>,
    text: &str,
    what: &str,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<T> {
    parsed
        .map_err(|fault| {
            let shown = if fault.is_secret { "this".to_owned() } else { quoted(text) };
            let message = format!("{shown} cannot be used as {what}: {}", fault.message);
            out.push(site.diagnostic(codes::BAD_GIT_SOURCE, message).help(fault.help));
        })
        .ok()
}

fn interval(git: &RawGit, site: &Site<'_>, out: &mut Vec<Diagnostic>) -> Option<Duration> {
    let Some(raw) = &git.interval else { return Some(DEFAULT_INTERVAL) };
    let site = site.child("interval");
    let interval = read_duration(raw, &site, out)?;
    if interval < INTERVAL_MIN {
        let message =
            format!("{} is too short for asking a server again and again", quoted(&raw.0));
        let help = "write `5s` or more; SIGHUP and `cronwright apply` ask at once";
        out.push(site.diagnostic(codes::BAD_GIT_SOURCE, message).help(help));
        return None;
    }
    Some(interval)
}

/// A folder whose files would have paths like those of the repository's.
fn overlap<'r>(raw: &'r RawSettings, path: &str) -> Option<&'r str> {
    let within = |a: &str, b: &str| {
        a.is_empty()
            || a.strip_prefix(b).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let clash = |name: &&String| {
        let name = name.strip_suffix('/').unwrap_or(name);
        !name.starts_with('/') && (within(name, path) || within(path, name))
    };
    raw.sources.iter().flatten().find(clash).map(String::as_str)
}
