//! Golden diagnostics: every file or folder in `cases/` is loaded as one snapshot, and the whole text
//! that people see is compared with the `.txt` beside it (`SNAPSHOTS=overwrite` writes them).

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use cronwright::diagnostic::codes;
use cronwright::diagnostic::render::{Colour, render_all, summary};
use cronwright::spec::manifest::{Content, Known, Loaded, ManifestFile, load};
use snapbox::{Data, assert_data_eq};

/// Codes that no manifest can show: settings have their own cases, and files that are not read or
/// too large for a fixture stand in `files.rs`.
const SHOWN_ELSEWHERE: [&str; 19] = [
    "E0320",
    // What a machine lacks: `tests/cli.rs`.
    codes::NO_USER_HERE,
    codes::NO_PROGRAM_HERE,
    codes::NO_FOLDER_HERE,
    codes::NO_LIMIT_HERE,
    codes::MISSING_FIELD,
    codes::FILE_TOO_LARGE,
    codes::ENV_TOO_LARGE,
    codes::BAD_URL,
    codes::BAD_LISTEN,
    codes::BAD_TZDB,
    codes::BAD_GIT_SOURCE,
    codes::BAD_ADDRESS,
    codes::SETTING_NEEDED,
    codes::BAD_TOKEN,
    codes::UNKNOWN_VARIABLE,
    codes::BAD_PASSWORD_SOURCE,
    codes::PATH_TOO_LONG,
    codes::NO_SETTINGS_FILE,
];

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifest/cases")
}

/// Every file below a path, named relative to `root`, sorted.
pub(super) fn files_below(root: &Path, path: &Path) -> Vec<ManifestFile> {
    let mut files = Vec::new();
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap();
        let mut entries: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        files.extend(entries.iter().flat_map(|entry| files_below(root, entry)));
    } else {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let content = Content::Bytes(fs::read(path).unwrap().into());
        files.push(ManifestFile { path: name.into(), source: "cases".into(), content });
    }
    files
}

fn shown(loaded: &Loaded) -> String {
    let mut text = render_all(&loaded.diagnostics, Colour::Plain);
    let jobs: Vec<_> = loaded.jobs.keys().map(ToString::to_string).collect();
    writeln!(text, "\n{}", summary(loaded.files, jobs.len(), &loaded.diagnostics)).unwrap();
    writeln!(text, "jobs: {}", jobs.join(" ")).unwrap();
    for manifest in &loaded.invalid {
        let declared: Vec<_> = manifest.declared.iter().map(ToString::to_string).collect();
        writeln!(text, "invalid: {} declares {}", manifest.path, declared.join(" ")).unwrap();
    }
    for name in &loaded.conflicts {
        writeln!(text, "conflict: {name}").unwrap();
    }
    text
}

#[test]
fn every_mistake_is_reported_at_its_place_with_the_next_act() {
    let mut seen = BTreeSet::new();
    let mut entries: Vec<_> = fs::read_dir(cases()).unwrap().map(|e| e.unwrap().path()).collect();
    entries.retain(|path| path.extension().is_none_or(|extension| extension != "out"));
    entries.sort();
    for path in entries {
        let loaded = load(&files_below(&cases(), &path), &Known::default());
        seen.extend(loaded.diagnostics.iter().map(|diagnostic| diagnostic.code));
        let expected = PathBuf::from(format!("{}.out", path.display()));
        assert_data_eq!(Data::text(shown(&loaded)), Data::read_from(&expected, None).raw());
    }
    let missing: Vec<_> = codes::ALL
        .iter()
        .map(|code| code.id)
        .filter(|id| !seen.contains(id) && !SHOWN_ELSEWHERE.contains(id))
        // Requests and sources have tests of their own.
        .filter(|id| !matches!(&id[1..3], "04" | "05"))
        .collect();
    assert_eq!(missing, Vec::<&str>::new(), "codes that no case shows");
}
