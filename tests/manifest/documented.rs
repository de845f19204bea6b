//! Every code has its explanation in `docs/diagnostics.md`, and no code is used that is not listed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cronwright::diagnostic::codes;
use cronwright::diagnostic::explanation::{Explanation, explanation};
use cronwright::spec::manifest::{Content, Known, ManifestFile, load};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_code_is_explained_under_its_title() {
    let page = fs::read_to_string(repository().join("docs/diagnostics.md")).unwrap();
    let headings: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let mut expected: Vec<_> =
        codes::ALL.iter().map(|code| format!("{}: {}", code.id, code.title)).collect();
    expected.sort_by_key(|heading| (heading[1..3].to_owned(), heading.clone()));
    let mut found = headings.clone();
    found.sort_by_key(|heading| (heading[1..3].to_owned(), (*heading).to_owned()));
    assert_eq!(found, expected);
}

/// Manifests and settings among the examples show what they are examples of.
#[test]
fn the_examples_are_real() {
    let mut checked = 0;
    for code in codes::ALL {
        let Explanation { language, example, .. } = explanation(code.id).unwrap();
        if !matches!(language, "yaml" | "toml") {
            continue;
        }
        let content = Content::Bytes(example.as_bytes().into());
        let path = format!("jobs.d/example.{language}");
        let file = ManifestFile { path: path.into(), source: "jobs.d".into(), content };
        let mut found = load(&[file], &Known::default()).diagnostics;
        if language == "toml" {
            found.extend(super::settings::diagnostics(example));
        }
        let shown: Vec<_> = found.iter().map(|diagnostic| diagnostic.code).collect();
        assert!(shown.contains(&code.id), "the example of {} shows {shown:?}", code.id);
        checked += 1;
    }
    assert!(checked > 40, "only {checked} examples are checked");
}

fn rust_files(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_code_in_the_program_is_listed() {
    let mut files = Vec::new();
    rust_files(&repository().join("src"), &mut files);
    let pattern = regex::Regex::new(r#""([EW]0[1-6][0-9]{2})"#).unwrap();
    let used: BTreeSet<_> = files
        .iter()
        .flat_map(|text| pattern.captures_iter(text).map(|found| found[1].to_owned()))
        .collect();
    let unlisted: Vec<_> = used.iter().filter(|id| codes::title(id).is_none()).collect();
    assert_eq!(unlisted, Vec::<&String>::new());
}
