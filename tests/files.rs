//! Snapshots of real folders: every way in which a file or a source can be wrong while it is read.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests make their own worlds and fail by panicking"
)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use cronwright::io::files::{
    FILE_BYTES_MAX, FileProblem, Guard, Patience, Reading, RevisionOrigin, Snapshot, SnapshotFile,
    Source, SourceReading, SourceState, Sources, Unsettled,
};
use tempfile::TempDir;

/// A base folder with one source, `jobs.d`.
struct World {
    base: TempDir,
    sources: Sources,
}

impl World {
    fn new() -> Self {
        let base = tempfile::tempdir().unwrap();
        let sources = Sources {
            folders: vec![source(base.path(), "jobs.d")],
            revision: Some("given-1".into()),
            ..Sources::default()
        };
        fs::create_dir(base.path().join("jobs.d")).unwrap();
        Self { base, sources }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.base.path().join(path)
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        mode(&path, 0o644);
    }

    fn read(&self) -> Snapshot {
        self.read_after(None)
    }

    fn read_after(&self, previous: Option<&Snapshot>) -> Snapshot {
        settled(Snapshot::read(&self.sources, previous, Patience::Left))
    }

    /// One line a file: path and contents, or what is wrong with it.
    fn shows(&self, expected: &str) {
        assert_eq!(shown(&self.read(), self.base.path()), expected);
    }
}

fn source(base: &Path, name: &str) -> Source {
    Source { name: name.to_owned(), path: base.join(name) }
}

fn settled(reading: Reading) -> Snapshot {
    match reading {
        Reading::Settled(snapshot) => snapshot,
        Reading::Unsettled(why) => panic!("unsettled: {why:?}"),
    }
}

fn shown(snapshot: &Snapshot, base: &Path) -> String {
    let source = |source: &SourceReading| format!("{}: {:?}\n", source.name, source.state);
    let file = |file: &SnapshotFile| {
        let content = match &file.content {
            Ok(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Err(problem) => format!("({problem})"),
        };
        let warning = file.warning.map_or("", |_| " (group-writable)");
        format!("{} = {content}{warning}\n", file.path)
    };
    let sources = snapshot.sources.iter().map(source);
    let text: String = sources.chain(snapshot.files.iter().map(file)).collect();
    text.replace(base.to_str().unwrap(), "[BASE]")
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn fifo(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::from(0o644), 0).unwrap();
}

#[test]
fn manifests_are_taken_and_scratch_files_are_not() {
    let world = World::new();
    for name in ["b.yaml", "a.yml", "sub/deep/c.toml", "d.json"] {
        world.write(&format!("jobs.d/{name}"), name);
    }
    for name in [
        ".b.yaml.swp",
        "b.yaml~",
        "4913",
        "#b.yaml#",
        ".#b.yaml",
        "sedAbc123",
        "README.md",
        "b.yaml.tmp",
        ".git/config.yaml",
        "sub/.hidden/x.yaml",
        "b.yaml.swp",
    ] {
        world.write(&format!("jobs.d/{name}"), "scratch");
    }
    world.shows(
        "jobs.d: Read\n\
         jobs.d/a.yml = a.yml\n\
         jobs.d/b.yaml = b.yaml\n\
         jobs.d/d.json = d.json\n\
         jobs.d/sub/deep/c.toml = sub/deep/c.toml\n",
    );
}

#[test]
fn what_is_no_regular_file_is_refused_and_never_waited_for() {
    let world = World::new();
    fifo(&world.path("jobs.d/fifo.yaml"));
    let socket = std::os::unix::net::UnixListener::bind(world.path("jobs.d/sock.yaml")).unwrap();
    symlink("/dev/zero", world.path("jobs.d/zero.yaml")).unwrap();
    symlink("fifo.yaml", world.path("jobs.d/link.yaml")).unwrap();
    fs::create_dir(world.path("jobs.d/folder.yaml")).unwrap();
    world.write("jobs.d/good.yaml", "good");
    world.shows(
        "jobs.d: Read\n\
         jobs.d/fifo.yaml = (it is a FIFO: move it out of the source, or give it another extension)\n\
         jobs.d/good.yaml = good\n\
         jobs.d/link.yaml = (it is a FIFO: move it out of the source, or give it another extension)\n\
         jobs.d/sock.yaml = (it is a socket: move it out of the source, or give it another extension)\n\
         jobs.d/zero.yaml = (it is a link that leads out of its source: copy the target, or name its folder in `sources`)\n",
    );
    drop(socket);
}

#[test]
fn a_huge_file_is_refused_without_being_read() {
    let world = World::new();
    world.write("jobs.d/full.yaml", vec![b'#'; usize::try_from(FILE_BYTES_MAX).unwrap()]);
    let huge = fs::File::create(world.path("jobs.d/huge.yaml")).unwrap();
    huge.set_len(1 << 40).unwrap();
    let snapshot = world.read();
    assert_eq!(snapshot.files[0].content.as_ref().unwrap().len() as u64, FILE_BYTES_MAX);
    assert_eq!(
        snapshot.files[1].content.as_ref().unwrap_err().to_string(),
        "it is 1099511627776 bytes long, at most 1048576 are read: split it"
    );
}

#[test]
fn links_are_resolved_inside_the_source_and_loops_end() {
    let world = World::new();
    world.write("outside/secret.yaml", "secret");
    world.write("jobs.d/real.yaml", "real");
    world.write("jobs.d/sub/x.yaml", "x");
    for (target, link) in [
        ("real.yaml", "inside.yaml"),
        ("../outside/secret.yaml", "outside.yaml"),
        ("../outside", "folder-outside"),
        ("nothing.yaml", "dangling.yaml"),
        ("loop-b.yaml", "loop-a.yaml"),
        ("loop-a.yaml", "loop-b.yaml"),
        (".", "self"),
        ("..", "sub/up"),
        ("sub", "again"),
    ] {
        symlink(target, world.path("jobs.d").join(link)).unwrap();
    }
    world.shows(
        "jobs.d: Read\n\
         jobs.d/dangling.yaml = (it vanished meanwhile, or is a link to nothing: restore it, or remove the link)\n\
         jobs.d/folder-outside = (it is a link that leads out of its source: copy the target, or name its folder in `sources`)\n\
         jobs.d/inside.yaml = real\n\
         jobs.d/loop-a.yaml = (it is a link that leads back to itself: remove it)\n\
         jobs.d/loop-b.yaml = (it is a link that leads back to itself: remove it)\n\
         jobs.d/outside.yaml = (it is a link that leads out of its source: copy the target, or name its folder in `sources`)\n\
         jobs.d/real.yaml = real\n\
         jobs.d/sub/x.yaml = x\n",
    );
}

#[test]
fn a_config_map_is_read_through_its_links_and_its_swap_is_seen() {
    let world = World::new();
    world.write("jobs.d/..2026_01/a.yaml", "old a");
    world.write("jobs.d/..2026_01/team/b.yaml", "old b");
    symlink("..2026_01", world.path("jobs.d/..data")).unwrap();
    symlink("..data/a.yaml", world.path("jobs.d/a.yaml")).unwrap();
    symlink("..data/team", world.path("jobs.d/team")).unwrap();
    let old = world.read();
    assert_eq!(
        shown(&old, world.base.path()),
        "jobs.d: Read\njobs.d/a.yaml = old a\njobs.d/team/b.yaml = old b\n"
    );

    world.write("jobs.d/..2026_02/a.yaml", "new a");
    world.write("jobs.d/..2026_02/team/b.yaml", "new b");
    symlink("..2026_02", world.path("jobs.d/..data_tmp")).unwrap();
    fs::rename(world.path("jobs.d/..data_tmp"), world.path("jobs.d/..data")).unwrap();
    let new = world.read_after(Some(&old));
    assert_eq!(
        shown(&new, world.base.path()),
        "jobs.d: Read\njobs.d/a.yaml = new a\njobs.d/team/b.yaml = new b\n"
    );
    assert_ne!(old.digest, new.digest);
}

#[test]
fn a_source_that_is_itself_a_link_is_read_where_it_leads() {
    let mut world = World::new();
    world.write("trees/1/jobs/a.yaml", "one");
    world.write("trees/2/jobs/a.yaml", "two");
    symlink("trees/1", world.path("current")).unwrap();
    world.sources.folders = vec![source(world.base.path(), "current/jobs")];
    world.shows("current/jobs: Read\ncurrent/jobs/a.yaml = one\n");
    fs::remove_file(world.path("current")).unwrap();
    symlink("trees/2", world.path("current")).unwrap();
    world.shows("current/jobs: Read\ncurrent/jobs/a.yaml = two\n");
}

#[test]
fn sources_that_are_not_there_are_told_apart_and_none_is_complete() {
    let mut world = World::new();
    world.write("a-file", "x");
    symlink("nowhere", world.path("dangling")).unwrap();
    world.sources.folders =
        ["gone", "a-file", "jobs.d", "dangling"].map(|f| source(world.base.path(), f)).to_vec();
    let snapshot = world.read();
    let states: Vec<_> = snapshot.sources.iter().map(|s| s.state.clone()).collect();
    assert_eq!(
        states,
        [SourceState::Missing, SourceState::NotFolder, SourceState::Empty, SourceState::Missing]
    );
    assert!(states.iter().all(|state| !state.is_complete()));
    assert!(states.iter().all(|state| state.diagnostic("x").is_some()));
}

#[test]
fn an_emptied_source_is_empty_and_another_empty_folder_is_a_lost_mount() {
    let world = World::new();
    world.write("jobs.d/a.yaml", "a");
    let full = world.read();
    fs::remove_file(world.path("jobs.d/a.yaml")).unwrap();
    let emptied = world.read_after(Some(&full));
    assert_eq!(emptied.sources[0].state, SourceState::Empty);

    fs::rename(world.path("jobs.d"), world.path("old")).unwrap();
    let vanished = world.read_after(Some(&full));
    assert_eq!(vanished.sources[0].state, SourceState::Missing);

    fs::create_dir(world.path("jobs.d")).unwrap();
    let replaced = world.read_after(Some(&vanished));
    assert_eq!(replaced.sources[0].state, SourceState::Unmounted);
    let still = world.read_after(Some(&replaced));
    assert_eq!(still.sources[0].state, SourceState::Unmounted);

    world.write("jobs.d/a.yaml", "a");
    assert_eq!(world.read_after(Some(&still)).sources[0].state, SourceState::Read);
}

#[test]
fn what_the_daemon_may_not_read_is_a_problem_of_that_file() {
    let world = World::new();
    world.write("jobs.d/a.yaml", "a");
    world.write("jobs.d/closed.yaml", "closed");
    world.write("jobs.d/shut/c.yaml", "c");
    mode(&world.path("jobs.d/closed.yaml"), 0o000);
    mode(&world.path("jobs.d/shut"), 0o000);
    let snapshot = shown(&world.read(), world.base.path());
    mode(&world.path("jobs.d/shut"), 0o700);
    let expected = if rustix::process::geteuid().is_root() {
        // Root reads all the same; other users see the problem.
        "jobs.d: Read\n\
         jobs.d/a.yaml = a\n\
         jobs.d/closed.yaml = closed\n\
         jobs.d/shut/c.yaml = c\n"
    } else {
        "jobs.d: Unreadable(\"`jobs.d/shut`: permission denied\")\n\
         jobs.d/a.yaml = a\n\
         jobs.d/closed.yaml = (permission denied: let the daemon's user read it)\n"
    };
    assert_eq!(snapshot, expected);
}

#[test]
fn manifests_that_everybody_may_write_or_replace_are_refused() {
    let world = World::new();
    for (name, bits) in [("closed", 0o600), ("usual", 0o644), ("umask-002", 0o664), ("open", 0o666)]
    {
        world.write(&format!("jobs.d/{name}.yaml"), name);
        mode(&world.path(&format!("jobs.d/{name}.yaml")), bits);
    }
    world.write("jobs.d/dropbox/x.yaml", "x");
    mode(&world.path("jobs.d/dropbox"), 0o1777);
    world.shows(
        "jobs.d: Read\n\
         jobs.d/closed.yaml = closed\n\
         jobs.d/dropbox/x.yaml = (every user of this machine may replace it: run `chmod o-w jobs.d/dropbox`)\n\
         jobs.d/open.yaml = (every user of this machine may write it: run `chmod o-w` on it)\n\
         jobs.d/umask-002.yaml = umask-002\n\
         jobs.d/usual.yaml = usual\n",
    );
}

#[test]
fn a_shared_group_that_may_write_is_warned_about() {
    if !rustix::process::geteuid().is_root() {
        // Only root may give a file away; everything else in this area runs as any user.
        return;
    }
    let world = World::new();
    world.write("jobs.d/shared.yaml", "shared");
    std::os::unix::fs::chown(world.path("jobs.d/shared.yaml"), None, Some(50)).unwrap();
    mode(&world.path("jobs.d/shared.yaml"), 0o664);
    world.write("jobs.d/private.yaml", "private");
    std::os::unix::fs::chown(world.path("jobs.d/private.yaml"), Some(1000), Some(1000)).unwrap();
    mode(&world.path("jobs.d/private.yaml"), 0o664);
    world.shows(
        "jobs.d: Read\n\
         jobs.d/private.yaml = private\n\
         jobs.d/shared.yaml = shared (group-writable)\n",
    );
}

#[test]
fn a_name_that_is_not_utf8_is_named_and_refused() {
    let world = World::new();
    let name = OsStr::from_bytes(b"caf\xe9.yaml");
    fs::write(world.path("jobs.d").join(name), "x").unwrap();
    world.shows(
        "jobs.d: Read\n\
         jobs.d/caf\u{fffd}.yaml = (its name is not UTF-8: rename it)\n",
    );
}

#[test]
fn folders_too_deep_leave_the_source_incomplete() {
    let world = World::new();
    world.write("jobs.d/a.yaml", "a");
    world.write(&format!("jobs.d/{}x.yaml", "d/".repeat(20)), "x");
    let snapshot = world.read();
    let deep = format!("jobs.d{}", "/d".repeat(17));
    assert_eq!(snapshot.sources[0].state, SourceState::TooDeep(deep));
    assert_eq!(snapshot.files.len(), 1);
}

#[test]
fn while_git_is_at_work_nothing_is_read_unless_patience_is_spent() {
    let world = World::new();
    world.write("jobs.d/a.yaml", "a");
    world.write(".git/HEAD", "ref: refs/heads/main\n");
    world.write(".git/index.lock", "");
    match Snapshot::read(&world.sources, None, Patience::Left) {
        Reading::Unsettled(Unsettled::GitLock(lock)) => {
            assert_eq!(lock, world.path(".git/index.lock").canonicalize().unwrap());
        }
        other @ (Reading::Settled(_) | Reading::Unsettled(_)) => panic!("{other:?}"),
    }
    let stale = settled(Snapshot::read(&world.sources, None, Patience::Spent));
    assert_eq!(stale.files.len(), 1);
}

#[test]
fn a_file_that_is_always_being_written_is_its_own_problem_in_the_end() {
    let world = World::new();
    world.write("jobs.d/busy.json", "");
    world.write("jobs.d/calm.yaml", "calm");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            use std::io::Write;
            let mut file =
                fs::File::options().append(true).open(world.path("jobs.d/busy.json")).unwrap();
            let mut written = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) && written < 1_000_000 {
                written += file.write(b"{}\n").unwrap();
            }
        });
        // Whatever the other thread does in between, one answer comes, and the calm file is in it.
        let snapshot = settled(Snapshot::read(&world.sources, None, Patience::Spent));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(snapshot.files[1].content.as_deref().unwrap(), b"calm");
    });
}

#[test]
fn a_digest_changes_with_contents_names_and_problems_and_with_nothing_else() {
    let world = World::new();
    world.write("jobs.d/a.yaml", "a");
    let first = world.read();
    assert_eq!(world.read_after(Some(&first)).digest, first.digest);
    world.write("jobs.d/a.yaml", "a");
    assert_eq!(world.read_after(Some(&first)).digest, first.digest);
    world.write("jobs.d/a.yaml", "b");
    let second = world.read_after(Some(&first));
    assert_ne!(second.digest, first.digest);
    fs::rename(world.path("jobs.d/a.yaml"), world.path("jobs.d/c.yaml")).unwrap();
    let third = world.read_after(Some(&second));
    assert_ne!(third.digest, second.digest);
    mode(&world.path("jobs.d/c.yaml"), 0o646);
    assert_ne!(world.read_after(Some(&third)).digest, third.digest);
}

#[test]
fn a_file_in_two_sources_belongs_to_the_first() {
    let mut world = World::new();
    world.write("jobs.d/sub/a.yaml", "a");
    world.sources.folders = ["jobs.d", "jobs.d/sub"].map(|f| source(world.base.path(), f)).to_vec();
    let snapshot = world.read();
    assert_eq!(snapshot.files.len(), 1);
    assert_eq!(snapshot.files[0].source, 0);
    assert_eq!(snapshot.sources[1].name, "jobs.d/sub");
}

/// Asserts the revision of a world whose files are these.
#[track_caller]
fn revision_is(
    files: &[(&str, &str)],
    given: Option<&str>,
    expected: (&str, Option<&str>, RevisionOrigin),
) {
    let mut world = World::new();
    world.sources.revision = given.map(str::to_owned);
    world.write("jobs.d/a.yaml", "a");
    for (path, text) in files {
        world.write(path, text);
    }
    let found = world.read().revision;
    assert_eq!((&*found.id, found.branch.as_deref(), found.origin), expected);
}

#[test]
fn the_revision_is_the_commit_else_what_is_given_else_the_digest() {
    const COMMIT: &str = "8f3c2a1d5b6e7f809123456789abcdef01234567";
    let line = format!("{COMMIT}\n");
    let packed = format!("# pack-refs with: peeled\n{COMMIT} refs/heads/team/ops\n^0000\n");
    let on_main = (COMMIT, Some("main"), RevisionOrigin::Git);

    let head = (".git/HEAD", "ref: refs/heads/main\n");
    revision_is(&[head, (".git/refs/heads/main", &line)], Some("given"), on_main);
    revision_is(&[(".git/HEAD", &line)], None, (COMMIT, None, RevisionOrigin::Git));
    revision_is(
        &[(".git/HEAD", "ref: refs/heads/team/ops\n"), (".git/packed-refs", &packed)],
        None,
        (COMMIT, Some("team/ops"), RevisionOrigin::Git),
    );
    revision_is(
        &[
            (".git", "gitdir: repo/worktrees/w\n"),
            ("repo/worktrees/w/HEAD", "ref: refs/heads/main\n"),
            ("repo/worktrees/w/commondir", "../..\n"),
            ("repo/refs/heads/main", &line),
        ],
        None,
        on_main,
    );
    // A repository without a commit, and one whose HEAD leads elsewhere, say nothing.
    revision_is(&[head], Some("v1.2"), ("v1.2", None, RevisionOrigin::Environment));
    revision_is(
        &[(".git/HEAD", "ref: refs/../../jobs.d/a.yaml\n"), ("jobs.d/.revision", "r-7\nmore\n")],
        None,
        ("r-7", None, RevisionOrigin::File),
    );
    revision_is(&[], Some("two words"), ("6c7047df0921", None, RevisionOrigin::Content));
}

/// Runs a test of this file again as a user who is not root, who may be denied things; `false`: this is
/// that run, or the user is not root anyway.
fn run_as_nobody(test: &str) -> bool {
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        return false;
    }
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test]).current_dir("/").uid(NOBODY).gid(NOBODY).env("TMPDIR", "/tmp");
    match command.output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && said.contains("1 passed"), "{said}");
        }
        Err(error) => println!("left out: {test} as another user: {error}"),
    }
    true
}

#[test]
fn bad_input_chmod_000_of_a_file_and_of_the_source_holds_everything() {
    if run_as_nobody("files::bad_input_chmod_000_of_a_file_and_of_the_source_holds_everything") {
        return;
    }
    let world = World::new();
    world.write("jobs.d/a.yaml", "a");
    world.write("jobs.d/b.yaml", "b");
    let whole = world.read();
    mode(&world.path("jobs.d/b.yaml"), 0o000);
    let one_shut = world.read_after(Some(&whole));
    assert_eq!(
        shown(&one_shut, world.base.path()),
        "jobs.d: Read\n\
         jobs.d/a.yaml = a\n\
         jobs.d/b.yaml = (permission denied: let the daemon's user read it)\n"
    );
    mode(&world.path("jobs.d"), 0o000);
    let shut = world.read_after(Some(&one_shut));
    mode(&world.path("jobs.d"), 0o755);
    assert_eq!(
        shown(&shut, world.base.path()),
        "jobs.d: Unreadable(\"`jobs.d`: permission denied\")\n"
    );
    assert!(!shut.sources[0].state.is_complete());
    mode(&world.path("jobs.d/b.yaml"), 0o644);
    assert_eq!(world.read_after(Some(&shut)).digest, whole.digest);
}

#[test]
fn bad_input_rm_rf_of_the_source_is_never_a_complete_look() {
    let world = World::new();
    for number in 0..200 {
        world.write(&format!("jobs.d/{}/{number}.yaml", number % 10), "x");
    }
    let whole = world.read();
    let folder = world.path("jobs.d");
    let remover = std::thread::spawn(move || fs::remove_dir_all(folder).unwrap());
    let mut last = whole.clone();
    while !remover.is_finished() {
        if let Reading::Settled(snapshot) =
            Snapshot::read(&world.sources, Some(&last), Patience::Left)
        {
            last = snapshot;
        }
    }
    remover.join().unwrap();
    let last = world.read_after(Some(&last));
    assert_eq!(last.sources[0].state, SourceState::Missing);
    fs::create_dir(world.path("jobs.d")).unwrap();
    assert!(!world.read_after(Some(&last)).sources[0].state.is_complete());
    for number in 0..200 {
        world.write(&format!("jobs.d/{}/{number}.yaml", number % 10), "x");
    }
    assert_eq!(world.read_after(Some(&last)).digest, whole.digest);
}

#[test]
fn bad_input_a_checkout_of_an_empty_branch_is_never_a_complete_look() {
    let mut world = World::new();
    let Some(repo) = crate::support::git::Repo::new(&world.path("tree")) else { return };
    repo.write("jobs.d/a.yaml", "a");
    repo.write("jobs.d/team/b.yaml", "b");
    let commit = repo.commit();
    world.sources =
        Sources { folders: vec![source(&world.path("tree"), "jobs.d")], ..Sources::default() };
    let whole = world.read();
    assert_eq!((&*whole.revision.id, whole.revision.branch.as_deref()), (&*commit, Some("main")));
    repo.git(&["checkout", "--quiet", "--orphan", "empty"]);
    repo.git(&["rm", "--quiet", "-r", "--force", "."]);
    let empty = world.read_after(Some(&whole));
    assert_eq!(shown(&empty, world.base.path()), "jobs.d: Missing\n");
    repo.git(&["checkout", "--quiet", "main"]);
    let back = world.read_after(Some(&empty));
    assert_eq!((back.digest, back.sources[0].state.clone()), (whole.digest, SourceState::Read));
}

#[test]
fn bad_input_half_written_and_nul_filled_files_are_invalid_and_take_no_other_with_them() {
    use cronwright::spec::manifest::{Known, load};
    let world = World::new();
    let text = "jobs:\n  good:\n    cron: \"@daily\"\n    command: echo \"a\"\n";
    world.write("jobs.d/good.yaml", text);
    world.write("jobs.d/nul.yaml", vec![0; text.len()]);
    world.write(
        "jobs.d/nul-tail.yaml",
        format!("{text}{}", "\0".repeat(64)).replace("good", "tail"),
    );
    world.write("jobs.d/half.yaml", &text.replace("good", "half")[..text.len() - 3]);
    world.write("jobs.d/half.json", r#"{"jobs": {"json": {"cron": "@daily", "comm"#);
    world.write("jobs.d/half.toml", "[jobs.toml]\ncron = \"@da");
    world.write("jobs.d/empty.yaml", "");
    let snapshot = world.read();
    assert_eq!(snapshot.sources[0].state, SourceState::Read);
    let loaded = load(&snapshot.manifests(), &Known::default());
    let jobs: Vec<_> = loaded.jobs.keys().map(ToString::to_string).collect();
    assert_eq!(jobs, ["good"]);
    let mut invalid: Vec<_> = loaded.invalid.iter().map(|manifest| &*manifest.path).collect();
    invalid.sort_unstable();
    assert_eq!(
        invalid,
        ["empty.yaml", "half.json", "half.toml", "half.yaml", "nul-tail.yaml", "nul.yaml"]
            .map(|name| format!("jobs.d/{name}"))
    );
}

#[test]
fn bad_input_a_hundred_thousand_files_are_too_many_quickly_and_lose_nothing() {
    let world = World::new();
    world.write("jobs.d/a.yaml", "a");
    let whole = world.read();
    // A file under many names is quicker made than many files; ext4 gives it 65,000 at most.
    for number in 0..100_000 {
        let one = world.path(&format!("file-{}", number % 2));
        if number < 2 {
            fs::write(&one, "x").unwrap();
        }
        fs::hard_link(one, world.path(&format!("jobs.d/{number}.yaml"))).unwrap();
    }
    let begun = std::time::Instant::now();
    let flooded = world.read_after(Some(&whole));
    let took = begun.elapsed();
    assert_eq!(flooded.sources[0].state, SourceState::TooManyFiles);
    assert!(!flooded.sources[0].state.is_complete() && flooded.files.is_empty());
    assert_eq!(flooded.diagnostics().len(), 1);
    assert!(took < std::time::Duration::from_secs(2), "it took {took:?}");
    for number in 0..100_000 {
        fs::remove_file(world.path(&format!("jobs.d/{number}.yaml"))).unwrap();
    }
    assert_eq!(world.read_after(Some(&flooded)).digest, whole.digest);
}

/// The part of the test below that runs where it may mount.
const MOUNTER: &str = "CRONWRIGHT_TEST_MOUNTER";

#[test]
fn bad_input_an_unmounted_source_is_told_from_an_emptied_one() {
    const TEST: &str = "files::bad_input_an_unmounted_source_is_told_from_an_emptied_one";
    if std::env::var_os(MOUNTER).is_none() {
        let mut command = std::process::Command::new("unshare");
        command.args(["--mount", "--propagation", "private"]).arg(std::env::current_exe().unwrap());
        let output = command.args(["--exact", TEST, "--nocapture"]).env(MOUNTER, "1").output();
        let said = output.as_ref().map(|output| String::from_utf8_lossy(&output.stdout));
        match (&output, said) {
            (Ok(output), Ok(said)) if said.contains("running 1 test") => {
                assert!(output.status.success(), "{said}");
            }
            _ => println!("left out: {TEST}: this user may not mount anything"),
        }
        return;
    }
    let world = World::new();
    let mount = |arguments: &[&str]| {
        let (program, arguments) = arguments.split_first().unwrap();
        let mut command = std::process::Command::new(program);
        assert!(command.args(arguments).arg(world.path("jobs.d")).status().unwrap().success());
    };
    mount(&["mount", "-t", "tmpfs", "none"]);
    world.write("jobs.d/a.yaml", "a");
    let mounted = world.read();
    assert_eq!(mounted.sources[0].state, SourceState::Read);
    mount(&["umount"]);
    let gone = world.read_after(Some(&mounted));
    assert_eq!(gone.sources[0].state, SourceState::Unmounted);
    assert_eq!(world.read_after(Some(&gone)).sources[0].state, SourceState::Unmounted);
    mount(&["mount", "-t", "tmpfs", "none"]);
    world.write("jobs.d/a.yaml", "a");
    assert_eq!(world.read_after(Some(&gone)).digest, mounted.digest);
    mount(&["umount"]);
}

#[test]
fn bad_input_a_file_that_is_replaced_while_it_is_read_is_read_whole() {
    let world = World::new();
    let text = |sign: &str| sign.repeat(300_000);
    world.write("jobs.d/a.yaml", text("a"));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for sign in ["b", "c", "d", "a"].iter().cycle() {
                world.write("next", text(sign));
                fs::rename(world.path("next"), world.path("jobs.d/a.yaml")).unwrap();
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
            }
        });
        let mut last = None;
        for _ in 0..50 {
            let reading = Snapshot::read(&world.sources, last.as_ref(), Patience::Left);
            if let Reading::Settled(snapshot) = reading {
                let bytes = snapshot.files[0].content.as_ref().unwrap();
                assert_eq!(bytes.len(), 300_000);
                assert!(bytes.iter().all(|byte| *byte == bytes[0]), "a mix of two files");
                last = Some(snapshot);
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn bad_input_folders_that_link_in_circles_are_entered_once() {
    let world = World::new();
    world.write("jobs.d/a/b/x.yaml", "x");
    for (target, link) in [("..", "a/up"), ("../..", "a/b/top"), ("b", "a/c"), ("d", "a/d")] {
        symlink(target, world.path("jobs.d").join(link)).unwrap();
    }
    symlink(world.path("jobs.d/a"), world.path("jobs.d/a/b/absolute")).unwrap();
    world.shows("jobs.d: Read\njobs.d/a/b/x.yaml = x\n");
}

#[test]
fn a_daemon_that_is_root_reads_what_is_roots_alone() {
    if !rustix::process::geteuid().is_root() {
        println!("left out: a test that gives files away, which only root may");
        return;
    }
    let mut world = World::new();
    world.sources.guard = Guard::Root;
    for name in ["fine", "others", "group", "setuid", "linked"] {
        world.write(&format!("jobs.d/{name}.yaml"), name);
    }
    let path = |name: &str| world.path(&format!("jobs.d/{name}.yaml"));
    std::os::unix::fs::chown(path("others"), Some(1000), None).unwrap();
    std::os::unix::fs::chown(path("group"), None, Some(50)).unwrap();
    mode(&path("group"), 0o664);
    mode(&path("setuid"), 0o4644);
    fs::hard_link(path("linked"), world.path("elsewhere")).unwrap();
    world.shows(
        "jobs.d: Read\n\
         jobs.d/fine.yaml = fine\n\
         jobs.d/group.yaml = (the daemon is root, and a group may write it: run `chmod g-w` on it)\n\
         jobs.d/linked.yaml = (the daemon is root, and it has 2 names (hard links): put a copy in its place)\n\
         jobs.d/others.yaml = (the daemon is root, and it belongs to user 1000: run `chown root` on it, or the daemon as that user)\n\
         jobs.d/setuid.yaml = (the daemon is root, and it is setuid or setgid: run `chmod ug-s` on it)\n",
    );
    let problems = world.read().files;
    let codes = problems.iter().filter_map(|file| file.content.as_ref().err());
    let codes: Vec<_> = codes.map(|problem: &FileProblem| problem.diagnostic("x").code).collect();
    assert_eq!(codes, ["E0535"; 4]);
}

#[test]
fn a_link_to_a_folder_called_like_a_commit_says_the_revision() {
    const COMMIT: &str = "8f3c2a1d5b6e7f809123456789abcdef01234567";
    let mut world = World::new();
    world.write(&format!("sync/.worktrees/{COMMIT}/jobs/a.yaml"), "a");
    // git-sync leaves a file that leads to a repository which this container does not see.
    world.write(&format!("sync/.worktrees/{COMMIT}/.git"), "gitdir: /git/.git/worktrees/x\n");
    symlink(format!(".worktrees/{COMMIT}"), world.path("sync/current")).unwrap();
    world.sources.folders = vec![source(world.base.path(), "sync/current/jobs")];
    let revision = world.read().revision;
    assert_eq!((&*revision.id, revision.origin), (COMMIT, RevisionOrigin::Link));
}

/// What a look at the touched files alone says; none: everything must be read.
fn touched(world: &World, previous: &Snapshot, paths: &[&str]) -> Option<String> {
    let paths = paths.iter().map(|path| world.path(path)).collect();
    let snapshot = previous.with_touched(&world.sources, &paths)?;
    let whole = world.read_after(Some(previous));
    assert_eq!(snapshot.digest, whole.digest, "the same as a look at everything");
    assert_eq!(snapshot.revision, whole.revision);
    let shown = shown(&snapshot, world.base.path());
    assert_eq!(shown, self::shown(&whole, world.base.path()));
    Some(shown)
}

#[test]
fn files_that_were_touched_are_read_alone_and_nothing_else_is() {
    let world = World::new();
    world.write("jobs.d/a.yaml", "a");
    world.write("jobs.d/team/b.yaml", "b");
    world.write("jobs.d/c.yaml", "c");
    let before = world.read();
    world.write("jobs.d/a.yaml", "a2");
    world.write("jobs.d/team/b.yaml", "b2");
    let both = touched(&world, &before, &["jobs.d/a.yaml", "jobs.d/team/b.yaml"]).unwrap();
    assert_eq!(
        both,
        "jobs.d: Read\njobs.d/a.yaml = a2\njobs.d/c.yaml = c\njobs.d/team/b.yaml = b2\n"
    );
    // What was not told of is not looked at; the next look at everything finds it.
    let paths = [world.path("jobs.d/a.yaml")].into();
    let one = before.with_touched(&world.sources, &paths).unwrap();
    assert_eq!(
        shown(&one, world.base.path()),
        "jobs.d: Read\njobs.d/a.yaml = a2\njobs.d/c.yaml = c\njobs.d/team/b.yaml = b\n"
    );
    assert_ne!(one.digest, before.digest);
}

#[test]
fn what_is_not_plain_asks_for_a_look_at_everything() {
    let world = World::new();
    world.write("jobs.d/a.yaml", "a");
    world.write("jobs.d/b.yaml", "b");
    let before = world.read();
    assert_eq!(touched(&world, &before, &["jobs.d/new.yaml"]), None, "not known");
    assert_eq!(touched(&world, &before, &["jobs.d"]), None, "a folder");
    assert_eq!(touched(&world, &before, &["elsewhere/a.yaml"]), None, "no source");
    mode(&world.path("jobs.d/a.yaml"), 0o666);
    assert_eq!(touched(&world, &before, &["jobs.d/a.yaml"]), None, "refused");
    mode(&world.path("jobs.d/a.yaml"), 0o644);
    mode(&world.path("jobs.d"), 0o777);
    assert_eq!(touched(&world, &before, &["jobs.d/a.yaml"]), None, "all may replace it");
    mode(&world.path("jobs.d"), 0o755);
    fs::remove_file(world.path("jobs.d/a.yaml")).unwrap();
    assert_eq!(touched(&world, &before, &["jobs.d/a.yaml"]), None, "gone");
    symlink(world.path("jobs.d/b.yaml"), world.path("jobs.d/a.yaml")).unwrap();
    assert_eq!(touched(&world, &before, &["jobs.d/a.yaml"]), None, "a link");
    let linked = world.read();
    world.write("jobs.d/b.yaml", "b2");
    assert_eq!(touched(&world, &linked, &["jobs.d/b.yaml"]), None, "a link leads to it");
}
