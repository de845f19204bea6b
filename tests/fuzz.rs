//! The bodies of the fuzz targets (`fuzz/`) over their seeds and over random changes of these: not a
//! search, but the same assertions on every run of the tests, without the nightly compiler.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;

#[path = "../fuzz/bodies.rs"]
mod bodies;

/// How many changed inputs each body gets; `CRONWRIGHT_TEST_SCALE` multiplies it.
const CRON: u32 = 4_000;
const TEXTS: u32 = 4_000;
const CALLS: u32 = 8_000;
const MANIFESTS: u32 = 1_500;

/// Pieces that parsers look for.
const PIECES: [&str; 40] = [
    "*",
    "/",
    "-",
    ",",
    "#",
    "L",
    "W",
    "LW",
    "?",
    "@daily",
    "@",
    " ",
    "\t",
    "0",
    "7",
    "59",
    "60",
    "2199",
    "99999999999",
    "mon",
    "jan",
    "last",
    "T",
    "Z",
    "+08:00",
    "ms",
    "w",
    "\n",
    "\n  ",
    ": ",
    "- ",
    "\"",
    "'",
    "{",
    "[",
    "&a ",
    "*a",
    "\u{feff}",
    "é",
    "\0",
];

/// Numbers that look random (splitmix64): the same seed, the same inputs.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 1).unwrap() % bound.max(1)
    }
}

/// Every file below a folder.
fn files(folder: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().filter(|path| path.is_file()).map(|path| fs::read(path).unwrap()).collect()
}

/// The expressions of the vectors, each once.
fn expressions(prefix: &str) -> BTreeSet<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named =
        entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix));
    named
        .flat_map(|path| {
            let text = fs::read_to_string(path).unwrap();
            let expr = |line: &str| {
                let vector: serde_json::Value = serde_json::from_str(line).unwrap();
                vector["expr"].as_str().unwrap_or_default().as_bytes().to_vec()
            };
            text.lines().map(expr).collect::<Vec<_>>()
        })
        .collect()
}

/// A few changes to an input: bytes lost, changed or doubled, pieces put in, another input put behind.
fn changed(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        let end = (at + 1 + random.below(8)).min(input.len());
        match random.below(6) {
            0 => drop(input.drain(at..end)),
            1 if at < input.len() => input[at] ^= 1 << random.below(8),
            2 => {
                let copy = input[at..end].to_vec();
                drop(input.splice(at..at, copy));
            }
            3 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => {
                let piece = PIECES[random.below(PIECES.len())];
                drop(input.splice(at..at, piece.bytes()));
            }
        }
    }
    input
}

fn run(name: &str, body: fn(&[u8]), seeds: &[Vec<u8>], count: u32) {
    let scale: f64 = std::env::var("CRONWRIGHT_TEST_SCALE")
        .ok()
        .and_then(|scale| scale.parse().ok())
        .unwrap_or(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let count = (f64::from(count) * scale) as u64;
    for seed in seeds {
        body(seed);
    }
    let mut random = Random(3);
    for _ in 0..count {
        let input = changed(&mut random, seeds);
        let shown = String::from_utf8_lossy(&input).into_owned();
        let fine = std::panic::catch_unwind(|| body(&input));
        assert!(fine.is_ok(), "{name}: {shown:?}");
    }
    // Not by `eprintln!`, which the test harness keeps to itself.
    let told = format!("fuzz {name}: {} seeds, {count} changed inputs\n", seeds.len());
    std::io::stderr().write_all(told.as_bytes()).unwrap();
}

#[test]
fn cron_expressions_of_any_bytes() {
    let mut seeds = files("fuzz/seeds/cron");
    seeds.extend(expressions("cron-"));
    run("cron", bodies::cron, &seeds, CRON);
}

#[test]
fn dates_durations_and_zones_of_any_bytes() {
    let mut seeds = files("fuzz/seeds/texts");
    seeds.extend(expressions("date"));
    seeds.extend(expressions("interval"));
    run("texts", bodies::texts, &seeds, TEXTS);
}

#[test]
fn calls_of_any_bytes() {
    run("call", bodies::call, &files("fuzz/seeds/call"), CALLS);
}

#[test]
fn manifests_of_any_bytes() {
    run("manifest", bodies::manifest, &files("tests/manifest/cases"), MANIFESTS);
}
