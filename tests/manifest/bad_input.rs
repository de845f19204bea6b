//! Whatever stands in a file: an answer with valid places, no panic, nothing slow.

use cronwright::diagnostic::render::{Colour, render_all};
use cronwright::diagnostic::report::Report;
use cronwright::diagnostic::{Diagnostic, codes};
use cronwright::spec::manifest::{Content, FILE_BYTES_MAX, Known, Loaded, ManifestFile, load};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};

const YAML: &str = include_str!("cases/lints.yaml");
const ANCHORS: &str = "x: &a {b: [1, *a]}\n<<: *a\njobs:\n  c: &d\n    cron: '0 3 * * *'\n    script: |\n      echo\n  e: {<<: *d, env: {A: \"\\u0041\"}}\n";
const TOML: &str = "[jobs.a]\ncommand = ['x', \"y\"]\nenv.A = '''\n1'''\n[[jobs.a.triggers]]\ndate = 2026-01-01T00:00:00\n";

fn one(path: &str, content: Content) -> Loaded {
    let file = ManifestFile { path: path.into(), source: "s".into(), content };
    load(&[file], &Known::default())
}

fn check(path: &str, bytes: Vec<u8>) {
    let loaded = one(path, Content::Bytes(bytes.into()));
    for place in loaded.diagnostics.iter().filter_map(|diagnostic| diagnostic.place.as_ref()) {
        assert!(place.source.text.get(place.start..place.end).is_some(), "{place:?}");
    }
    assert!(loaded.has_errors() != loaded.invalid.is_empty() || !loaded.conflicts.is_empty());
    let text = render_all(&loaded.diagnostics, Colour::Plain);
    assert!(!text.chars().any(|sign| sign.is_control() && sign != '\n'), "{text:?}");
    serde_json::to_string(&Report::new(1, loaded.jobs.len(), &loaded.diagnostics)).unwrap();
}

/// A text with some of its pieces replaced, doubled or cut out.
fn spoiled(text: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let junk = prop_oneof![
        select(vec![
            "",
            " ",
            "\n",
            "\t",
            ": ",
            "- ",
            "{",
            "}",
            "[",
            "]",
            "\"",
            "'",
            "*",
            "&",
            "#",
            "|\n",
            "@",
            "!x ",
            "\0",
            "\u{1b}",
            "é",
            "=",
            ".",
            "\r\n",
            "---\n",
            "<<: ",
            "? ",
            "~",
            "${params.x}"
        ])
        .prop_map(|junk| junk.as_bytes().to_vec()),
        vec(any::<u8>(), 0..4),
    ];
    (Just(text), vec((any::<Index>(), 0..6_usize, junk), 1..5)).prop_map(|(text, edits)| {
        let mut bytes = text.as_bytes().to_vec();
        for (at, length, junk) in edits {
            let start = at.index(bytes.len() + 1);
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, junk);
        }
        bytes
    })
}

#[test]
fn spoiled_files_give_diagnostics_and_never_a_panic() {
    let files = prop_oneof![
        spoiled(YAML).prop_map(|bytes| ("a.yaml", bytes)),
        spoiled(ANCHORS).prop_map(|bytes| ("a.yaml", bytes)),
        spoiled(TOML).prop_map(|bytes| ("a.toml", bytes)),
        vec(any::<u8>(), 0..64).prop_map(|bytes| ("a.yaml", bytes)),
        vec(any::<u8>(), 0..64).prop_map(|bytes| ("a.toml", bytes)),
    ];
    let mut runner = TestRunner::new(Config { cases: 1500, ..Config::default() });
    runner
        .run(&files, |(path, bytes)| {
            check(path, bytes);
            Ok(())
        })
        .unwrap();
}

fn codes_of(loaded: &Loaded) -> Vec<&'static str> {
    loaded.diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
}

#[test]
fn files_that_are_too_large_or_were_refused_are_invalid_and_say_so() {
    let large = one("a.yaml", Content::Bytes(vec![b'#'; FILE_BYTES_MAX + 1].into()));
    assert_eq!(codes_of(&large), [codes::FILE_TOO_LARGE]);
    let refusal = Diagnostic::new("E0511", "`a.toml` cannot be read: permission denied");
    let closed = one("a.toml", Content::Refused(refusal));
    assert_eq!(codes_of(&closed), ["E0511"]);
    assert_eq!(closed.diagnostics[0].path(), "a.toml");
    assert_eq!(&*closed.invalid[0].path, "a.toml");
}

#[test]
fn an_environment_or_argument_over_the_limit_of_the_system_is_refused_at_load() {
    let long = "x".repeat(70_000);
    let text = format!(
        "defaults: {{ env: {{ A: {long} }} }}\njobs:\n  sum: {{ command: [a], env: {{ B: {long} }} }}\n  argument: {{ command: [a, {long}{long}], env: null }}\n"
    );
    let loaded = one("a.yaml", Content::Bytes(text.into_bytes().into()));
    let found: Vec<_> =
        loaded.diagnostics.iter().map(|d| (d.code, d.job.as_deref().unwrap_or_default())).collect();
    assert_eq!(found, [(codes::ENV_TOO_LARGE, "sum"), (codes::ENV_TOO_LARGE, "argument")]);
}

/// Each of these made some parser slow, or overflow its stack.
#[test]
fn hostile_files_are_refused_quickly() {
    let deep_keys = format!("{}a = 1", "a.".repeat(150_000));
    let alias_chain = (0..5000).fold("a0: &a0 [x]\n".to_owned(), |text, at| {
        format!("{text}a{}: &a{} [*a{at}]\n", at + 1, at + 1)
    });
    let many_keys = (0..50_000).fold(String::new(), |text, at| text + &format!("k{at}: 1\n"));
    let same_keys = "k: 1\n".repeat(80_000);
    for (path, text) in [
        ("a.yaml", "[".repeat(300_000)),
        ("a.yaml", "{a: ".repeat(100_000)),
        ("a.yaml", "- ".repeat(200_000)),
        ("a.yaml", "? ".repeat(200_000)),
        ("a.yaml", "a:\n ".repeat(100_000)),
        ("a.yaml", alias_chain),
        ("a.yaml", many_keys),
        ("a.yaml", same_keys),
        ("a.yaml", format!("jobs: {{a: {{command: [{}]}}}}", "x, ".repeat(300_000))),
        ("a.yaml", "no\n".repeat(300_000)),
        ("a.yaml", format!("[{}]", "no, ".repeat(100_000))),
        ("a.yaml", "cron: */5 * * * *\n".repeat(20_000)),
        ("a.toml", "[".repeat(300_000)),
        ("a.toml", format!("a = {}", "[".repeat(300_000))),
        ("a.toml", format!("a = {}", "{a = ".repeat(100_000))),
        ("a.toml", deep_keys),
        ("a.toml", "a = 1\n".repeat(80_000)),
        ("a.toml", "x\n".repeat(150_000)),
    ] {
        let start = &text[..20];
        let started = std::time::Instant::now();
        let loaded = one(path, Content::Bytes(text.clone().into_bytes().into()));
        assert!(loaded.diagnostics.iter().any(Diagnostic::is_error), "{start}");
        let text = render_all(&loaded.diagnostics, Colour::Plain);
        assert!(text.len() < 10_000_000);
        // Unoptimised and on a busy machine; the point is that nothing is quadratic or worse.
        let seconds = started.elapsed().as_secs_f64();
        assert!(seconds < 10.0, "{start:?} took {seconds} s");
    }
}
