//! A repository elsewhere, followed: whatever becomes of it, what was accepted last stays.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use cronwright::io::git::{Accepted, GitFault, GitRef, GitUrl, Mirror, Remote, SshChoice};
use tempfile::TempDir;

use super::shown;
use crate::support::git::Repo;

/// A server with a repository, and the folder of clones.
struct World {
    base: TempDir,
    server: Repo,
}

impl World {
    /// With one commit on `main`; none: without `git` the test is left out.
    fn new() -> Option<Self> {
        let base = tempfile::tempdir().unwrap();
        let server = Repo::new(&base.path().join("server"))?;
        let world = Self { base, server };
        world.publish("1");
        Some(world)
    }

    /// Commits a manifest of this text; the commit.
    fn publish(&self, text: &str) -> String {
        self.server.write("jobs.d/a.yaml", text);
        self.server.commit()
    }

    fn remote(&self, reference: &str) -> Remote {
        let url = format!("file://{}", self.server.path("").display());
        Remote {
            url: GitUrl::parse(&url).unwrap(),
            reference: GitRef::parse(reference).unwrap(),
            path: "jobs.d".to_owned(),
            require_signed: false,
            ssh: SshChoice::Configured,
        }
    }

    fn follow(&self, reference: &str) -> Mirror {
        self.follow_remote(self.remote(reference))
    }

    fn follow_remote(&self, remote: Remote) -> Mirror {
        Mirror::new(remote, &self.base.path().join("clones"))
    }

    /// The only clone.
    fn clone(&self) -> PathBuf {
        let clones = fs::read_dir(self.base.path().join("clones")).unwrap();
        let clones: Vec<PathBuf> = clones.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(clones.len(), 1, "{clones:?}");
        clones[0].clone()
    }
}

/// The commit, its branch, and its only manifest.
fn what(accepted: &Accepted) -> (String, Option<String>, String) {
    let (commit, tree) = accepted;
    let branch = commit.branch.as_ref().map(ToString::to_string);
    (commit.id.to_string(), branch, shown(tree))
}

fn holds(text: &str) -> String {
    format!("Read\njobs.d/a.yaml = {text}\n")
}

#[test]
fn a_branch_is_followed_and_a_clone_serves_without_the_server() {
    let Some(world) = World::new() else { return };
    let mirror = world.follow("main");
    assert_eq!(mirror.accepted(), None);
    let first = mirror.update(None).unwrap();
    let main = Some("main".to_owned());
    assert_eq!(what(&first), (world.server.head(), main.clone(), holds("1")));
    let same = mirror.update(Some(&first)).unwrap();
    assert!(Arc::ptr_eq(&first.1, &same.1), "read again");
    let commit = world.publish("2");
    let second = mirror.update(Some(&first)).unwrap();
    assert_eq!(what(&second), (commit, main, holds("2")));
    fs::rename(world.server.path(""), world.base.path().join("gone")).unwrap();
    assert!(matches!(mirror.update(Some(&second)), Err(GitFault::NotFetched(_))));
    assert_eq!(world.follow("main").accepted(), Some(second));
}

#[test]
fn tags_hashes_full_refs_and_the_servers_own_branch_are_followed() {
    let Some(world) = World::new() else { return };
    let first = world.server.head();
    world.server.git(&["tag", "-a", "v1", "-m", "one"]);
    world.server.git(&["branch", "feature/main"]);
    let second = world.publish("2");
    let follow = |name: &str| {
        let (commit, branch, _) = what(&world.follow(name).update(None).unwrap());
        let offline = world.follow(name).accepted().unwrap();
        assert_eq!(what(&offline).0, commit);
        assert_eq!(what(&offline).1, branch);
        (commit, branch.unwrap_or_default())
    };
    let with = |commit: &str, branch: &str| (commit.to_owned(), branch.to_owned());
    assert_eq!(follow("HEAD"), with(&second, "main"));
    assert_eq!(follow("main"), with(&second, "main"));
    assert_eq!(follow("v1"), with(&first, ""));
    assert_eq!(follow("refs/heads/feature/main"), with(&first, "feature/main"));
    assert_eq!(follow(&second), with(&second, ""));
    assert_eq!(follow(&first), with(&first, ""));
    let gone = world.follow("v2").update(None).unwrap_err();
    assert_eq!(gone, GitFault::RefGone("v2".to_owned()));
}

#[test]
fn a_branch_that_is_rewritten_emptied_or_removed_never_breaks_the_clone() {
    let Some(world) = World::new() else { return };
    let mirror = world.follow("main");
    let first = mirror.update(None).unwrap();
    world.server.git(&["checkout", "--quiet", "--orphan", "other"]);
    let rewritten = world.publish("rewritten");
    world.server.git(&["branch", "--force", "main", "other"]);
    let second = mirror.update(Some(&first)).unwrap();
    assert_eq!(what(&second), (rewritten, Some("main".to_owned()), holds("rewritten")));

    world.server.git(&["branch", "--quiet", "-D", "main"]);
    let gone = mirror.update(Some(&second)).unwrap_err();
    assert_eq!(gone, GitFault::RefGone("main".to_owned()));
    assert_eq!(mirror.accepted(), Some(second.clone()));

    world.server.git(&["rm", "--quiet", "-r", "."]);
    world.server.commit();
    world.server.git(&["branch", "main"]);
    let emptied = mirror.update(Some(&second)).unwrap();
    assert_eq!(shown(&emptied.1), "Missing\n");
}

#[test]
fn a_clone_that_is_damaged_is_made_anew_and_what_is_half_made_is_cleared_away() {
    let Some(world) = World::new() else { return };
    let mirror = world.follow("main");
    let first = mirror.update(None).unwrap();
    let clone = world.clone();
    let damage: [(&str, &dyn Fn()); 5] = [
        ("objects are gone", &|| {
            fs::remove_dir_all(clone.join("objects")).unwrap();
            fs::create_dir(clone.join("objects")).unwrap();
        }),
        ("packs are zeros", &|| {
            for pack in fs::read_dir(clone.join("objects/pack")).unwrap() {
                let pack = pack.unwrap().path();
                let zeros = vec![0; usize::try_from(pack.metadata().unwrap().len()).unwrap()];
                fs::remove_file(&pack).unwrap();
                fs::write(pack, zeros).unwrap();
            }
        }),
        ("its configuration is no text", &|| fs::write(clone.join("config"), [0; 64]).unwrap()),
        ("a lock was left", &|| {
            fs::create_dir_all(clone.join("refs/cronwright")).unwrap();
            fs::write(clone.join("refs/cronwright/fetched.lock"), "").unwrap();
        }),
        ("it is a file", &|| {
            fs::remove_dir_all(&clone).unwrap();
            fs::write(&clone, "x").unwrap();
        }),
    ];
    for (number, (name, damage)) in damage.iter().enumerate() {
        damage();
        fs::create_dir_all(clone.with_extension("new")).unwrap();
        let text = format!("after {number}");
        let commit = world.publish(&text);
        let healed =
            mirror.update(Some(&first)).unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
        assert_eq!(what(&healed), (commit, Some("main".to_owned()), holds(&text)), "{name}");
        assert_eq!(mirror.accepted(), Some(healed), "{name}");
        assert_eq!(world.clone(), clone, "{name}");
    }
}

#[test]
fn a_swap_of_clones_that_was_cut_short_is_ended() {
    let Some(world) = World::new() else { return };
    let mirror = world.follow("main");
    let first = mirror.update(None).unwrap();
    let clone = world.clone();
    fs::rename(&clone, clone.with_extension("old")).unwrap();
    assert_eq!(mirror.accepted(), Some(first.clone()), "the old one comes back");
    fs::rename(&clone, clone.with_extension("new")).unwrap();
    fs::create_dir(clone.with_extension("old")).unwrap();
    assert_eq!(mirror.accepted(), Some(first), "the new one was whole");
    assert_eq!(world.clone(), clone);
}

#[test]
fn nothing_that_a_server_sends_is_executed_or_checked_out() {
    let Some(world) = World::new() else { return };
    world.server.write(".gitattributes", "* filter=lfs ident\n");
    world.server.write(".gitmodules", "[submodule \"x\"]\n\tpath = x\n\turl = ext::sh -c evil\n");
    world.publish("$Id$");
    let accepted = world.follow("main").update(None).unwrap();
    assert_eq!(shown(&accepted.1), holds("$Id$"));
    let entries = fs::read_dir(world.clone()).unwrap();
    let mut names: Vec<_> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert!(!names.iter().any(|name| ["hooks", "index", "jobs.d"].contains(&&**name)), "{names:?}");
}

/// A key of ssh, and a file of those who may sign with it.
fn key(folder: &Path, name: &str) -> Option<PathBuf> {
    let key = folder.join(name);
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&key);
    let Ok(status) = command.status() else {
        println!("left out: a test that needs the program `ssh-keygen`, which is not here");
        return None;
    };
    assert!(status.success());
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    fs::write(folder.join("signers"), format!("ann@example.com {public}")).unwrap();
    Some(key)
}

#[test]
fn where_signatures_are_asked_for_a_commit_without_a_good_one_is_refused() {
    let Some(world) = World::new() else { return };
    let Some(stranger) = key(world.base.path(), "stranger") else { return };
    let Some(trusted) = key(world.base.path(), "trusted") else { return };
    let signers = world.base.path().join("signers");
    let mirror = world.follow_remote(Remote { require_signed: true, ..world.remote("main") });
    let refused = |before: Option<&Accepted>| match mirror.update(before) {
        Err(GitFault::Unsigned(commit, words)) => {
            assert_eq!(commit, world.server.head());
            words
        }
        other => panic!("{other:?}"),
    };
    let signed = |key: &Path, text: &str| {
        world.server.write("jobs.d/a.yaml", text);
        let key = format!("user.signingKey={}", key.display());
        let sign =
            ["-c", "gpg.format=ssh", "-c", &key, "commit", "--quiet", "--all", "-S", "-m", "x"];
        world.server.git(&sign);
    };
    assert_eq!(refused(None), "it has none");
    assert_eq!(mirror.accepted(), None);
    // Whom to trust is a matter of git's configuration; the clone's is a part of it.
    let trust = format!("[gpg \"ssh\"]\n\tallowedSignersFile = {}\n", signers.display());
    let config = world.clone().join("config");
    fs::write(&config, format!("{}{trust}", fs::read_to_string(&config).unwrap())).unwrap();

    signed(&trusted, "2");
    let second = mirror.update(None).unwrap();
    assert_eq!(shown(&second.1), holds("2"));
    signed(&stranger, "3");
    let words = refused(Some(&second));
    assert!(words.contains("No principal matched"), "{words}");
    assert_eq!(mirror.accepted(), Some(second.clone()));
    world.publish("4");
    assert_eq!(refused(Some(&second)), "it has none");
    // Asked again without anything new, it is refused again.
    assert_eq!(refused(Some(&second)), "it has none");
    signed(&trusted, "5");
    assert_eq!(shown(&mirror.update(Some(&second)).unwrap().1), holds("5"));
}

#[test]
fn what_earlier_commits_left_is_cleared_away() {
    let Some(world) = World::new() else { return };
    let mirror = world.follow("main");
    let mut accepted = mirror.update(None).unwrap();
    for number in 0..40 {
        world.publish(&format!("round {number}"));
        accepted = mirror.update(Some(&accepted)).unwrap();
    }
    let packs = fs::read_dir(world.clone().join("objects/pack")).unwrap().count();
    assert!(packs <= 104, "{packs} files");
    assert_eq!(shown(&accepted.1), holds("round 39"));
    assert_eq!(mirror.accepted(), Some(accepted));
}
