//! A repository elsewhere, kept as a bare clone in the state directory.
//!
//! `HEAD` of the clone is what was accepted last: its manifests have been read, and its signature
//! verified where that is asked for. Everything is fetched beside it first, so that the clone serves
//! without the server, and a bad day of the server takes nothing away. A clone that is damaged is made
//! anew beside, and then put in its place.

use std::fs::{DirBuilder, read_dir, remove_dir_all, remove_file, rename};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::io::git::command::{Access, Git, Transport};
use crate::io::git::repository::{READ_WITHIN, is_hash};
use crate::io::git::{Commit, GitError, GitFault, GitRef, GitTree, GitUrl, Repository};

/// How long the server may take to say what it has.
const ASK_WITHIN: Duration = Duration::from_secs(30);
/// How long a fetch may take.
const FETCH_WITHIN: Duration = Duration::from_mins(5);
/// How long it may take to clear away what is not needed any more.
const CLEAN_WITHIN: Duration = Duration::from_mins(5);
/// How large a clone may become, in bytes: of a repository one commit is kept.
const CLONE_BYTES_MAX: u64 = 1 << 30;
/// Files of packed objects after which what is not needed is cleared away.
const PACK_FILES_MAX: usize = 100;
/// What was fetched, before it is accepted.
const FETCHED: &str = "refs/cronwright/fetched";
/// How many digits of a digest name a clone.
const NAME_DIGITS: usize = 16;

/// What is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Where.
    pub url: GitUrl,
    /// Which branch, tag or commit.
    pub reference: GitRef,
    /// The folder in it that holds manifests; empty: all of it.
    pub path: String,
    /// Whether only commits with a good signature are accepted.
    pub require_signed: bool,
    /// How ssh is called.
    pub ssh: SshChoice,
}

/// What the operator says about how git calls ssh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SshChoice {
    /// Nothing, beside perhaps `core.sshCommand`.
    Configured,
    /// `GIT_SSH_COMMAND`.
    Command(String),
    /// `GIT_SSH`.
    Program,
}

/// The clone. Its methods wait for git.
#[derive(Debug)]
pub struct Mirror {
    remote: Remote,
    /// Where the clone is.
    folder: PathBuf,
}

/// A commit, and what it holds.
pub type Accepted = (Commit, Arc<GitTree>);

/// What the server has under the name that is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Offer {
    /// The full ref, or the hash of a commit.
    full: String,
    /// Its object, where the server says so.
    object: Option<String>,
    /// The branch that it is.
    branch: Option<String>,
}

impl Mirror {
    /// The clone for a repository, in the folder of all clones. Nothing is read or written yet.
    pub fn new(remote: Remote, clones: &Path) -> Self {
        let name = format!("{}\n{}", remote.url.expose(), remote.reference.as_str());
        let name = blake3::hash(name.as_bytes()).to_hex();
        let name = name.get(..NAME_DIGITS).unwrap_or_default();
        Self { remote, folder: clones.join(name) }
    }

    /// What was accepted last, without asking the server; none: nothing was, or the clone is of no use.
    pub fn accepted(&self) -> Option<Accepted> {
        self.mend_swap();
        let repository = self.repository();
        let commit = repository.resolve("HEAD").ok()?;
        self.verify(&repository, &commit).ok()?;
        let tree = repository.read(&commit, &self.remote.path, None).ok()?;
        Some((commit, Arc::new(tree)))
    }

    /// Asks the server, fetches what is new, and accepts it.
    pub fn update(&self, before: Option<&Accepted>) -> Result<Accepted, GitFault> {
        make_folder(self.folder.parent().unwrap_or(&self.folder))?;
        let transport = self.transport();
        let offer = self.ask(&transport)?;
        let clone = self.repository();
        match self.take(&clone, &offer, &transport, before) {
            // The server was there just now: the clone may be at fault.
            Err(GitFault::NotFetched(_)) => {}
            other => return other,
        }
        let beside = self.beside("new");
        clear_away(&beside.git_dir);
        let accepted = self.take(&beside, &offer, &transport, before)?;
        self.swap(&beside)?;
        Ok(accepted)
    }

    /// What the server has under the name that is followed.
    fn ask(&self, transport: &Transport) -> Result<Offer, GitFault> {
        let name = self.remote.reference.as_str();
        if is_hash(name) {
            let full = name.to_ascii_lowercase();
            return Ok(Offer { object: Some(full.clone()), full, branch: None });
        }
        let mut candidates = vec![name.to_owned()];
        if name != "HEAD" && !name.starts_with("refs/") {
            candidates = vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")];
        }
        let mut git = Git::new("ls-remote", Path::new("/"), Access::Remote(transport), ASK_WITHIN)
            .args(&["--symref", "--", self.remote.url.expose()]);
        for candidate in &candidates {
            git = git.arg(candidate);
        }
        let answer = git.output().map_err(|error| self.not_fetched(&error))?;
        let offers = Offer::all(&String::from_utf8_lossy(&answer));
        let wanted = candidates.iter().find_map(|c| offers.iter().find(|offer| offer.full == *c));
        wanted.cloned().ok_or_else(|| GitFault::RefGone(name.to_owned()))
    }

    /// Fetches an offer into a clone, and accepts it there.
    fn take(
        &self,
        clone: &Repository,
        offer: &Offer,
        transport: &Transport,
        before: Option<&Accepted>,
    ) -> Result<Accepted, GitFault> {
        let failed = |error: GitError| self.not_fetched(&error);
        init(clone, offer).map_err(failed)?;
        if offer.object.is_none() || fetched(clone) != offer.object {
            self.fetch(clone, offer, transport).map_err(failed)?;
        }
        let mut commit = clone.resolve(FETCHED).map_err(failed)?;
        commit.branch = offer.branch.as_deref().map(Arc::from);
        if let Some(known) = before.filter(|(known, _)| *known == commit)
            && clone.resolve("HEAD").is_ok_and(|head| head == commit)
        {
            return Ok(known.clone());
        }
        self.verify(clone, &commit)?;
        let known = before.map(|(_, tree)| &**tree);
        let tree = clone.read(&commit, &self.remote.path, known).map_err(failed)?;
        accept(clone, &commit).map_err(failed)?;
        clean(clone);
        Ok((commit, Arc::new(tree)))
    }

    fn fetch(
        &self,
        clone: &Repository,
        offer: &Offer,
        transport: &Transport,
    ) -> Result<(), GitError> {
        let refspec = format!("+{}:{FETCHED}", offer.full);
        let packs = clone.git_dir.join("objects/pack");
        let too_big = || bytes_in(&packs) > CLONE_BYTES_MAX;
        Git::new("fetch", &clone.git_dir, Access::Remote(transport), FETCH_WITHIN)
            .args(&["--quiet", "--force", "--no-tags", "--no-recurse-submodules"])
            .args(&["--depth=1", "--update-shallow", "--", self.remote.url.expose(), &refspec])
            .too_big(&too_big)
            .output()
            .map(drop)
    }

    fn verify(&self, clone: &Repository, commit: &Commit) -> Result<(), GitFault> {
        if !self.remote.require_signed {
            return Ok(());
        }
        let git = Git::new("verify-commit", &clone.git_dir, Access::Configuration, READ_WITHIN);
        let verified = git.arg(&commit.id).run().map_err(|error| self.not_fetched(&error))?;
        if verified.status.success() {
            return Ok(());
        }
        let words = verified.words();
        let words = if words.is_empty() { "it has none".to_owned() } else { words };
        Err(GitFault::Unsigned(commit.id.to_string(), words))
    }

    /// Puts the clone that was made beside in the place of the old one.
    fn swap(&self, beside: &Repository) -> Result<(), GitFault> {
        let old = self.beside("old");
        clear_away(&old.git_dir);
        let there = self.folder.exists();
        let moved = if there { rename(&self.folder, &old.git_dir) } else { Ok(()) };
        moved
            .and_then(|()| rename(&beside.git_dir, &self.folder))
            .map_err(|error| GitFault::NotFetched(error.to_string()))?;
        clear_away(&old.git_dir);
        Ok(())
    }

    /// Goes on with a swap that was cut short: the old one moves only when the new one is whole.
    fn mend_swap(&self) {
        let (old, new) = (self.beside("old").git_dir, self.beside("new").git_dir);
        if !self.folder.exists() && old.exists() {
            drop(rename(&new, &self.folder).or_else(|_| rename(&old, &self.folder)));
        }
        clear_away(&old);
        clear_away(&new);
    }

    fn repository(&self) -> Repository {
        Repository::bare(self.folder.clone())
    }

    fn beside(&self, what: &str) -> Repository {
        Repository::bare(self.folder.with_extension(what))
    }

    /// How the server is reached, as the operator's own configuration says.
    fn transport(&self) -> Transport {
        let configured = || {
            let git = Git::new("config", Path::new("/"), Access::Configuration, READ_WITHIN);
            let text = git.args(&["--get", "core.sshCommand"]).output().ok()?;
            Some(String::from_utf8_lossy(&text).trim().to_owned()).filter(|text| !text.is_empty())
        };
        let ssh = match &self.remote.ssh {
            SshChoice::Program => None,
            SshChoice::Command(command) => Some(asking_nobody(command)),
            SshChoice::Configured => {
                Some(asking_nobody(&configured().unwrap_or_else(|| "ssh".to_owned())))
            }
        };
        Transport { protocols: self.remote.url.protocols(), ssh }
    }

    fn not_fetched(&self, error: &GitError) -> GitFault {
        let url = &self.remote.url;
        GitFault::NotFetched(error.to_string().replace(url.expose(), &url.to_string()))
    }
}

impl Offer {
    /// What `ls-remote --symref` says: `ref: FULL\tNAME` and `OBJECT\tFULL`, a line each.
    fn all(answer: &str) -> Vec<Self> {
        let lines = || answer.lines().filter_map(|line| line.split_once('\t'));
        let target = |name: &str| {
            let of_name = |(what, of): (&str, &str)| {
                what.strip_prefix("ref: ").filter(|_| of == name).map(str::to_owned)
            };
            lines().find_map(of_name)
        };
        let offer = |(object, full): (&str, &str)| {
            let target = target(full).unwrap_or_else(|| full.to_owned());
            let branch = target.strip_prefix("refs/heads/").map(str::to_owned);
            is_hash(object).then(|| Self {
                full: full.to_owned(),
                object: Some(object.to_owned()),
                branch,
            })
        };
        lines().filter_map(offer).collect()
    }
}

/// Makes the clone, if it is not there.
fn init(clone: &Repository, offer: &Offer) -> Result<(), GitError> {
    if clone.git_dir.join("HEAD").is_file() {
        return Ok(());
    }
    let is_long = offer.object.as_ref().is_some_and(|object| object.len() > 40);
    let format = if is_long { "--object-format=sha256" } else { "--object-format=sha1" };
    // Without a template there is no hook, not even a sample of one.
    clone.git("init").args(&["--bare", "--quiet", "--template=", format]).output().map(drop)
}

/// The object that was fetched last.
fn fetched(clone: &Repository) -> Option<String> {
    let found = clone.git("rev-parse").args(&["--verify", "--quiet", FETCHED]).output().ok()?;
    Some(String::from_utf8_lossy(&found).trim().to_owned()).filter(|object| is_hash(object))
}

/// Makes a commit what the clone stands for.
fn accept(clone: &Repository, commit: &Commit) -> Result<(), GitError> {
    let set = |name: &str| clone.git("update-ref").args(&["--no-deref", name, &commit.id]).output();
    match &commit.branch {
        Some(branch) => {
            let full = format!("refs/heads/{branch}");
            set(&full)?;
            clone.git("symbolic-ref").args(&["HEAD", &full]).output().map(drop)
        }
        None => set("HEAD").map(drop),
    }
}

/// Clears away what earlier commits left, once there is much of it.
fn clean(clone: &Repository) {
    let packs = read_dir(clone.git_dir.join("objects/pack")).map_or(0, Iterator::count);
    if packs > PACK_FILES_MAX {
        // It is tried again after the next commit.
        let git = Git::new("gc", &clone.git_dir, Access::Objects, CLEAN_WITHIN);
        drop(git.args(&["--quiet", "--prune=now"]).run());
    }
}

/// A call of ssh that fails rather than asks. What is not OpenSSH may not know the option.
fn asking_nobody(command: &str) -> String {
    let program = command.split_ascii_whitespace().next().unwrap_or_default();
    let is_openssh = Path::new(program).file_name().is_some_and(|name| name == "ssh");
    if is_openssh { format!("{command} -o BatchMode=yes") } else { command.to_owned() }
}

/// Removes whatever is there.
fn clear_away(path: &Path) {
    drop(remove_dir_all(path).or_else(|_| remove_file(path)));
}

fn make_folder(folder: &Path) -> Result<(), GitFault> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| GitFault::NotFetched(format!("{}: {error}", folder.display())))
}

/// How much lies in a folder, without those below it.
fn bytes_in(folder: &Path) -> u64 {
    let entries = read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_offers_is_found_under_its_full_name() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let answer = format!(
            "ref: refs/heads/main\tHEAD\n{a}\tHEAD\n{a}\trefs/heads/main\n{b}\trefs/tags/v1\nnonsense\nx\ty\n"
        );
        let offer = |full: &str, object: &str, branch: Option<&str>| Offer {
            full: full.to_owned(),
            object: Some(object.to_owned()),
            branch: branch.map(str::to_owned),
        };
        assert_eq!(
            Offer::all(&answer),
            [
                offer("HEAD", &a, Some("main")),
                offer("refs/heads/main", &a, Some("main")),
                offer("refs/tags/v1", &b, None),
            ]
        );
    }

    #[test]
    fn openssh_is_told_to_ask_nobody_and_others_are_left_alone() {
        for (command, expected) in [
            ("ssh", "ssh -o BatchMode=yes"),
            ("/usr/bin/ssh -i key", "/usr/bin/ssh -i key -o BatchMode=yes"),
            ("plink -batch", "plink -batch"),
            ("my-ssh", "my-ssh"),
        ] {
            assert_eq!(asking_nobody(command), expected);
        }
    }
}
