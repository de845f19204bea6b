//! Manifests out of real repositories: what is read of a commit, what is refused, and that nothing in a
//! repository is ever executed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

use cronwright::io::files::{FILE_BYTES_MAX, FILES_MAX};
use cronwright::io::git::{GitError, GitFile, GitTree, Repository};
use tempfile::TempDir;

use crate::support::git::Repo;

mod mirror;

/// A repository in a folder of its own; none: without `git` the test is left out.
fn world() -> Option<(TempDir, Repo)> {
    let base = tempfile::tempdir().unwrap();
    let repo = Repo::new(&base.path().join("repo"))?;
    Some((base, repo))
}

fn read(repo: &Repo, name: &str, path: &str) -> Result<GitTree, GitError> {
    let repository = Repository::open(&repo.path("."))?;
    repository.read(&repository.resolve(name)?, path, None)
}

/// One line a file: path and contents, or what is wrong with it.
fn shown(tree: &GitTree) -> String {
    let file = |file: &GitFile| {
        let content = match &file.content {
            Ok(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Err(problem) => format!("({problem})"),
        };
        format!("{} = {content}\n", file.path)
    };
    let files: String = tree.files.iter().map(file).collect();
    format!("{:?}\n{files}", tree.state)
}

#[test]
fn the_manifests_of_a_commit_are_read_and_nothing_else_is() {
    let Some((_base, repo)) = world() else { return };
    for path in ["jobs.d/b.yaml", "jobs.d/team/c.toml", "jobs.d/a b \u{e9}.json", "other/x.yaml"] {
        repo.write(path, path);
    }
    for path in ["README.md", ".b.yaml.swp", "b.yaml~", ".hidden/x.yaml", "sub/.git-like/y.yaml"] {
        repo.write(&format!("jobs.d/{path}"), "scratch");
    }
    repo.commit();
    repo.write("jobs.d/later.yaml", "not committed");
    repo.write("jobs.d/b.yaml", "changed, not committed");
    assert_eq!(
        shown(&read(&repo, "HEAD", "jobs.d").unwrap()),
        "Read\n\
         jobs.d/a b \u{e9}.json = jobs.d/a b \u{e9}.json\n\
         jobs.d/b.yaml = jobs.d/b.yaml\n\
         jobs.d/team/c.toml = jobs.d/team/c.toml\n"
    );
    assert_eq!(
        shown(&read(&repo, "main", "./jobs.d/team/").unwrap()),
        "Read\njobs.d/team/c.toml = jobs.d/team/c.toml\n"
    );
    assert_eq!(
        shown(&read(&repo, "main", "jobs.d/b.yaml").unwrap()),
        "Read\njobs.d/b.yaml = jobs.d/b.yaml\n"
    );
    assert_eq!(read(&repo, "main", "").unwrap().files.len(), 4);
    assert_eq!(shown(&read(&repo, "main", "gone.d").unwrap()), "Missing\n");
    assert_eq!(shown(&read(&repo, "main", "jobs.d/.hidden/none").unwrap()), "Missing\n");
    let manifests = read(&repo, "main", "jobs.d/team").unwrap().manifests("git:jobs.d");
    assert_eq!((&*manifests[0].path, &*manifests[0].source), ("jobs.d/team/c.toml", "git:jobs.d"));
}

#[test]
fn an_empty_branch_and_an_empty_folder_are_empty() {
    let Some((_base, repo)) = world() else { return };
    repo.commit();
    assert_eq!(shown(&read(&repo, "main", "").unwrap()), "Empty\n");
    assert_eq!(shown(&read(&repo, "main", "jobs.d").unwrap()), "Missing\n");
    repo.write("jobs.d/README.md", "no manifest");
    repo.commit();
    assert_eq!(shown(&read(&repo, "main", "jobs.d").unwrap()), "Empty\n");
}

#[test]
fn links_large_files_and_bad_names_in_a_commit_are_refused_by_name() {
    let Some((base, repo)) = world() else { return };
    fs::write(base.path().join("secret.yaml"), "secret").unwrap();
    repo.write("jobs.d/a.yaml", "a");
    repo.write("jobs.d/huge.yaml", vec![b'#'; usize::try_from(FILE_BYTES_MAX).unwrap() + 1]);
    symlink("../../secret.yaml", repo.path("jobs.d/link.yaml")).unwrap();
    symlink("a.yaml", repo.path("jobs.d/inside.yaml")).unwrap();
    symlink("/etc", repo.path("jobs.d/etc")).unwrap();
    fs::write(repo.path("jobs.d").join(OsStr::from_bytes(b"caf\xe9.yaml")), "x").unwrap();
    repo.write(&format!("jobs.d/{}deep.yaml", "d/".repeat(17)), "deep");
    repo.commit();
    let link = "(it is a link, and links in a commit are not followed: commit the file itself)";
    assert_eq!(
        shown(&read(&repo, "HEAD", "jobs.d").unwrap()),
        format!(
            "TooDeep(\"jobs.d{}\")\n\
             jobs.d/a.yaml = a\n\
             jobs.d/caf\u{fffd}.yaml = (its name is not UTF-8: rename it)\n\
             jobs.d/huge.yaml = (it is 1048577 bytes long, at most 1048576 are read: split it)\n\
             jobs.d/inside.yaml = {link}\n\
             jobs.d/link.yaml = {link}\n",
            "/d".repeat(17)
        )
    );
}

#[test]
fn a_submodule_is_not_entered() {
    let Some((base, repo)) = world() else { return };
    let Some(inner) = Repo::new(&base.path().join("inner")) else { return };
    inner.write("x.yaml", "x");
    inner.commit();
    repo.write("jobs.d/a.yaml", "a");
    let url = base.path().join("inner");
    repo.git(&["submodule", "--quiet", "add", url.to_str().unwrap(), "jobs.d/sub.yaml"]);
    repo.commit();
    assert_eq!(shown(&read(&repo, "HEAD", "jobs.d").unwrap()), "Read\njobs.d/a.yaml = a\n");
}

#[test]
fn more_manifests_than_a_source_may_hold_are_too_many() {
    let Some((_base, repo)) = world() else { return };
    let blob = repo.git_with(&["hash-object", "-w", "--stdin"], b"jobs: {}");
    let lines = |count: usize| -> String {
        let line = |n| format!("100644 blob {blob}\t{n}.yaml\n");
        (0..count).map(line).collect::<Vec<_>>().concat()
    };
    for (count, files, state) in
        [(FILES_MAX, FILES_MAX, "Read"), (FILES_MAX + 1, 0, "TooManyFiles")]
    {
        let tree = repo.git_with(&["mktree"], lines(count).as_bytes());
        let commit = repo.git(&["commit-tree", &tree, "-m", "many"]);
        let tree = read(&repo, &commit, "").unwrap();
        assert_eq!((tree.files.len(), format!("{:?}", tree.state)), (files, state.to_owned()));
    }
}

#[test]
fn a_commit_is_found_by_every_name_it_has() {
    let Some((base, repo)) = world() else { return };
    repo.write("jobs.d/a.yaml", "1");
    let first = repo.commit();
    repo.git(&["tag", "-a", "v1", "-m", "one"]);
    repo.git(&["branch", "team/ops"]);
    repo.write("jobs.d/a.yaml", "2");
    let second = repo.commit();
    let bare = base.path().join("bare.git");
    repo.git(&["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]);
    for folder in [repo.path("jobs.d"), bare] {
        let repository = Repository::open(&folder).unwrap();
        let found = |name: &str| {
            let commit = repository.resolve(name).unwrap();
            assert_eq!(commit.committed_at.unwrap().timestamp(), 1_795_350_000);
            (commit.id.to_string(), commit.branch.map(|branch| branch.to_string()))
        };
        let with = |id: &str, branch: Option<&str>| (id.to_owned(), branch.map(str::to_owned));
        assert_eq!(found("main"), with(&second, Some("main")));
        assert_eq!(found("HEAD"), with(&second, Some("main")));
        assert_eq!(found("refs/heads/team/ops"), with(&first, Some("team/ops")));
        assert_eq!(found("v1"), with(&first, None));
        assert_eq!(found("HEAD~1"), with(&first, None));
        assert_eq!(found(&second), with(&second, None));
        assert_eq!(found(&second[..10]), with(&second, None));
    }
}

#[test]
fn what_names_no_commit_is_said_and_never_an_option() {
    let Some((base, repo)) = world() else { return };
    repo.write("a.yaml", "1");
    repo.commit();
    let repository = Repository::open(&repo.path(".")).unwrap();
    for bad in ["", "--output=x", "-h", "^main", ":a.yaml", "main:a.yaml", "a b", "a\nb", "a\0"] {
        let error = repository.resolve(bad).unwrap_err();
        assert!(matches!(error, GitError::BadRef(_)), "{bad:?}: {error}");
    }
    for absent in ["gone", "0123456789012345678901234567890123456789", "HEAD~9", "main@{u}"] {
        let error = repository.resolve(absent).unwrap_err();
        assert!(matches!(error, GitError::NoRef(_)), "{absent:?}: {error}");
    }
    let commit = repository.resolve("HEAD").unwrap();
    for bad in ["..", "/etc", "a/../../b"] {
        let error = repository.read(&commit, bad, None).unwrap_err();
        assert!(matches!(error, GitError::BadPath(_)), "{bad:?}: {error}");
    }
    for folder in [base.path().to_path_buf(), base.path().join("gone")] {
        let error = Repository::open(&folder).unwrap_err();
        assert!(matches!(error, GitError::NoRepository(_)), "{error}");
    }
}

#[test]
fn nothing_that_a_repository_configures_is_executed() {
    let Some((base, repo)) = world() else { return };
    let marker = base.path().join("executed");
    let script = base.path().join("script");
    fs::write(&script, format!("#!/bin/sh\ntouch {}\ncat\n", marker.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let script = script.to_str().unwrap();
    repo.write(".gitattributes", "*.yaml filter=evil diff=evil text eol=crlf ident\n");
    repo.write("jobs.d/a.yaml", "$Id$\nlines\n");
    repo.commit();
    for key in [
        "filter.evil.smudge",
        "filter.evil.clean",
        "filter.evil.process",
        "diff.evil.textconv",
        "diff.external",
        "core.fsmonitor",
        "core.pager",
        "core.sshCommand",
        "core.askPass",
        "credential.helper",
        "gpg.program",
        "uploadpack.packObjectsHook",
    ] {
        repo.git(&["config", key, script]);
    }
    repo.git(&["config", "log.showSignature", "true"]);
    repo.git(&["config", "remote.origin.url", "ssh://example.invalid/x"]);
    repo.git(&["config", "remote.origin.promisor", "true"]);
    repo.git(&["config", "extensions.partialClone", "origin"]);
    for hook in ["post-checkout", "reference-transaction", "post-index-change", "pre-auto-gc"] {
        fs::copy(script, repo.path(".git/hooks").join(hook)).unwrap();
    }
    assert_eq!(
        shown(&read(&repo, "HEAD", "jobs.d").unwrap()),
        "Read\njobs.d/a.yaml = $Id$\nlines\n\n"
    );
    // An object that is not here is not fetched from anywhere.
    let absent = "0123456789012345678901234567890123456789";
    let tree = repo
        .git_with(&["mktree", "--missing"], format!("100644 blob {absent}\tx.yaml\n").as_bytes());
    let commit = repo.git(&["commit-tree", &tree, "-m", "missing"]);
    assert!(read(&repo, &commit, "").is_err());
    assert!(!marker.exists(), "something was executed");
}

#[test]
fn replaced_objects_are_not_believed() {
    let Some((_base, repo)) = world() else { return };
    repo.write("a.yaml", "true");
    repo.commit();
    let (old, new) = (
        repo.git(&["rev-parse", "HEAD:a.yaml"]),
        repo.git_with(&["hash-object", "-w", "--stdin"], b"false"),
    );
    repo.git(&["replace", &old, &new]);
    assert_eq!(shown(&read(&repo, "HEAD", "").unwrap()), "Read\na.yaml = true\n");
}

#[test]
fn a_damaged_repository_is_an_error_and_never_an_empty_source() {
    let Some((_base, repo)) = world() else { return };
    repo.write("jobs.d/a.yaml", "a");
    let commit = repo.commit();
    let blob = repo.git(&["rev-parse", "HEAD:jobs.d/a.yaml"]);
    let object = repo.path(&format!(".git/objects/{}/{}", &blob[..2], &blob[2..]));
    fs::remove_file(object).unwrap();
    let error = read(&repo, &commit, "jobs.d").unwrap_err();
    assert!(matches!(error, GitError::Failed(..) | GitError::Damaged(_)), "{error:?}");
}

#[test]
fn what_was_read_of_one_commit_is_not_read_again_for_the_next() {
    let Some((_base, repo)) = world() else { return };
    repo.write("a.yaml", "a");
    repo.write("b.yaml", "b");
    repo.commit();
    let repository = Repository::open(&repo.path(".")).unwrap();
    let first = repository.read(&repository.resolve("main").unwrap(), "", None).unwrap();
    repo.write("b.yaml", "changed");
    fs::rename(repo.path("a.yaml"), repo.path("c.yaml")).unwrap();
    repo.commit();
    let commit = repository.resolve("main").unwrap();
    let second = repository.read(&commit, "", Some(&first)).unwrap();
    assert_eq!(shown(&second), "Read\nb.yaml = changed\nc.yaml = a\n");
    let same = |a: &GitFile, b: &GitFile| {
        Arc::ptr_eq(a.content.as_ref().unwrap(), b.content.as_ref().unwrap())
    };
    assert!(same(&first.files[0], &second.files[1]), "read again");
}

#[test]
fn a_place_of_the_work_tree_has_its_path_in_the_repository() {
    let Some((base, repo)) = world() else { return };
    repo.write("ops/jobs.d/a.yaml", "a");
    repo.commit();
    let linked = base.path().join("linked");
    repo.git(&["worktree", "add", "--quiet", "-b", "other", linked.to_str().unwrap()]);
    for top in [repo.path("."), linked] {
        let repository = Repository::open(&top.join("ops")).unwrap();
        let path = |place: &str| repository.path_of(&top.join(place));
        assert_eq!(path("ops/jobs.d").as_deref(), Some("ops/jobs.d"));
        assert_eq!(path("ops/gone.d").as_deref(), Some("ops/gone.d"));
        assert_eq!(path(".").as_deref(), Some(""));
        assert_eq!(path(".."), None);
        let commit = repository.resolve("HEAD").unwrap();
        assert_eq!(repository.read(&commit, "ops/jobs.d", None).unwrap().files.len(), 1);
    }
}
