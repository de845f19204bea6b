//! The shape of the tree, as a test: arrows, bans, sizes, dead files.
//!
//! It reads `src/` as text and knows no more of Rust than comments, texts and braces. Test modules and
//! files called `tests.rs` are left out, except where a rule says otherwise. Uses `std` alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Each layer and the layers that it may use beside itself, in the order in which data flows. What
/// is not named is forbidden: `ledger` shares nothing with what it checks, `supervisor` stands alone.
const ARROWS: [(&str, &[&str]); 11] = [
    ("time", &[]),
    ("diagnostic", &["time"]),
    ("spec", &["time", "diagnostic"]),
    ("engine", &["time", "diagnostic", "spec"]),
    ("ledger", &["time"]),
    ("supervisor", &[]),
    ("io", &["time", "diagnostic", "spec", "engine", "supervisor"]),
    ("daemon", &["time", "diagnostic", "spec", "engine", "supervisor", "io"]),
    ("cli", &["time", "diagnostic", "spec", "engine", "supervisor", "io", "daemon"]),
    ("embed", &["diagnostic", "spec", "engine", "io", "daemon", "cli"]),
    ("lib", &["io"]),
];

/// Layers that do no I/O, read no clock and have no async. (`time` reads the system's zone data.)
const PURE: [&str; 4] = ["diagnostic", "spec", "engine", "ledger"];

/// What a pure layer does not say.
const IMPURE: [&str; 14] = [
    "async",
    "await",
    "tokio",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread::sleep",
    "std::thread::spawn",
    "Instant::now",
    "Local::now",
    "SystemTime",
    "Utc::now",
    "uuid",
];

/// Libraries and the beginnings of the paths that may name them.
const PLACES: [(&str, &[&str]); 18] = [
    ("annotate_snippets", &["diagnostic/"]),
    ("anstream", &["cli/"]),
    ("axum", &["io/http/"]),
    ("bson", &["io/store/mongo/", "io/kinit/"]),
    ("clap", &["cli/"]),
    ("hyper", &["cli/client.rs", "io/http/stream.rs", "io/http/tcp.rs"]),
    ("hyper_util", &["cli/client.rs", "io/http/tcp.rs"]),
    ("ipnet", &["daemon/settings", "io/executor/http.rs", "io/http_task/"]),
    ("jiff", &["time.rs", "time/"]),
    ("mongodb", &["io/store/mongo/", "io/kinit/"]),
    ("nix", &["io/executor/users.rs"]),
    ("notify", &["io/watch/"]),
    ("redis", &["io/redis/", "io/kinit/"]),
    ("reqwest", &["io/http_task/"]),
    ("rusqlite", &["io/store/sqlite/"]),
    ("rustls", &["io/http_task/"]),
    // Reading it is a matter of places and stands in one folder; the output only writes it.
    (
        "serde_yaml",
        &[
            "spec/manifest/node",
            "cli/declare.rs",
            "cli/output.rs",
            "cli/plan/unified.rs",
            "cli/show.rs",
        ],
    ),
    ("toml", &["spec/manifest/node/toml.rs", "cli/declare.rs"]),
];

/// Macros that print.
const PRINTING: [&str; 5] = ["print!", "println!", "eprint!", "eprintln!", "dbg!"];

/// Where the name of another program belongs: its adapter, the table of its settings, and what joins the two.
const KINIT_PLACES: [&str; 5] = [
    "daemon/kinit.rs",
    "daemon/kinit/",
    "daemon/settings/kinit.rs",
    "io/kinit/",
    "spec/settings/kinit.rs",
];
/// Files beside them, and how many of their lines must say it all the same: declarations, and a table's name.
const KINIT_EXCUSED: [(&str, usize); 6] = [
    ("cli/serve.rs", 5),
    ("daemon/mod.rs", 1),
    ("daemon/settings.rs", 6),
    ("daemon/settings/read.rs", 2),
    ("io/mod.rs", 1),
    ("spec/settings.rs", 4),
];

/// Parts of file names that say nothing.
const EMPTY_NAMES: [&str; 7] = ["common", "helpers", "imp", "manager", "misc", "types", "utils"];

/// What people read first, in two languages.
const READMES: [&str; 2] = ["README.md", "README.zh-CN.md"];

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 400;

/// Files over the limit and how long they are. It may only shrink: shorten a file, then its number.
const LONG_FILES: [(&str, usize); 0] = [];
/// Functions over the limit, as `path: name`, and how long they are. The same.
const LONG_FUNCTIONS: [(&str, usize); 0] = [];

/// A file below `src/`.
struct SourceFile {
    /// Relative to `src/`, with `/`.
    path: String,
    /// As it is.
    text: String,
    /// Comments are gone, and the content of texts is `_`. Line by line the same as `text`.
    code: String,
    /// The same without test modules: their lines are empty.
    product: String,
}

impl SourceFile {
    fn read(root: &Path, file: &Path) -> Self {
        let path = file.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        let text = fs::read_to_string(file).unwrap();
        let code = without_comments_and_texts(&text);
        let is_test = path.ends_with("/tests.rs");
        let product = if is_test { String::new() } else { without_test_items(&code) };
        Self { path, text, code, product }
    }

    /// The top-level module that it belongs to.
    fn layer(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// `path:line`, for people.
    fn at(&self, line: usize) -> String {
        format!("src/{}:{line}", self.path)
    }
}

fn repository() -> PathBuf {
    // Cargo sets it for the tests that it runs; a test program run by hand is told.
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from)
}

fn tree() -> &'static [SourceFile] {
    static TREE: LazyLock<Vec<SourceFile>> = LazyLock::new(read_tree);
    &TREE
}

fn read_tree() -> Vec<SourceFile> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let (root, mut found) = (repository().join("src"), Vec::new());
    walk(&root, &mut found);
    found.sort();
    assert!(found.len() > 100, "only {} files below {}", found.len(), root.display());
    found.iter().map(|file| SourceFile::read(&root, file)).collect()
}

fn assert_none(faults: &[String], rule: &str) {
    assert!(faults.is_empty(), "{rule}:\n  {}\n", faults.join("\n  "));
}

/// Where `word` stands in a line, not as a part of a longer word.
fn words<'a>(line: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = line[..*at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let goes_on = word.ends_with(part) && after.is_some_and(part);
        !before.is_some_and(part) && !goes_on
    })
}

/// Blanks comments and what stands between quotes, keeping every line.
fn without_comments_and_texts(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let (mut code, mut at) = (String::with_capacity(text.len()), 0);
    let starts = |at: usize, what: &str| {
        what.chars().enumerate().all(|(offset, c)| chars.get(at + offset) == Some(&c))
    };
    while at < chars.len() {
        let end = if starts(at, "//") {
            line_end(&chars, at)
        } else if starts(at, "/*") {
            block_end(&chars, at)
        } else if let Some((quote, hashes)) = raw_text(&chars, at) {
            code.push_str("r\"");
            let end = raw_text_end(&chars, quote + 1, hashes);
            blank(&chars[quote + 1..end], '_', &mut code);
            code.push('"');
            at = (end + 1 + hashes).min(chars.len());
            continue;
        } else if chars[at] == '"' || (chars[at] == '\'' && is_character(&chars, at)) {
            let end = quoted_end(&chars, at);
            code.push(chars[at]);
            blank(&chars[(at + 1).min(end)..end], '_', &mut code);
            code.push(chars[at]);
            at = (end + 1).min(chars.len());
            continue;
        } else {
            code.push(chars[at]);
            at += 1;
            continue;
        };
        blank(&chars[at..end], ' ', &mut code);
        at = end;
    }
    code
}

fn blank(chars: &[char], with: char, code: &mut String) {
    code.extend(chars.iter().map(|c| if *c == '\n' { '\n' } else { with }));
}

fn line_end(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|c| *c == '\n').map_or(chars.len(), |length| at + length)
}

/// The end of a block comment; they nest.
fn block_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut end) = (0, at);
    while end + 1 < chars.len() {
        match (chars[end], chars[end + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                end += 1;
                continue;
            }
        }
        end += 2;
        if depth == 0 {
            return end;
        }
    }
    chars.len()
}

/// Where the quote of a raw text stands that begins here, and how many hashes it has.
fn raw_text(chars: &[char], at: usize) -> Option<(usize, usize)> {
    let part = |c: &char| c.is_alphanumeric() || *c == '_';
    if chars[at] != 'r' || at.checked_sub(1).is_some_and(|at| part(&chars[at]) && chars[at] != 'b')
    {
        return None;
    }
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    let quote = at + 1 + hashes;
    (chars.get(quote) == Some(&'"')).then_some((quote, hashes))
}

fn raw_text_end(chars: &[char], from: usize, hashes: usize) -> usize {
    let closes = |at: &usize| {
        chars[*at] == '"' && (1..=hashes).all(|offset| chars.get(at + offset) == Some(&'#'))
    };
    (from..chars.len()).find(closes).unwrap_or(chars.len())
}

/// Whether a `'` begins a character, not a lifetime.
fn is_character(chars: &[char], at: usize) -> bool {
    chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\'')
}

fn quoted_end(chars: &[char], at: usize) -> usize {
    let mut end = at + 1;
    while end < chars.len() && chars[end] != chars[at] {
        end += if chars[end] == '\\' { 2 } else { 1 };
    }
    end.min(chars.len())
}

/// Blanks every item under `#[cfg(test)]`.
fn without_test_items(code: &str) -> String {
    let mut product = code.to_owned();
    while let Some(start) = product.find("#[cfg(test)]") {
        let end = item_end(&product, start + "#[cfg(test)]".len());
        let blank: String =
            product[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        product.replace_range(start..end, &blank);
    }
    product
}

/// Where the item ends that begins at `from`: after its block, or its semicolon.
fn item_end(code: &str, from: usize) -> usize {
    let (mut round, mut curly) = (0_i32, 0_i32);
    for (offset, c) in code[from..].char_indices() {
        match c {
            '(' | '[' => round += 1,
            ')' | ']' => round -= 1,
            '{' => curly += 1,
            '}' => curly -= 1,
            _ => {}
        }
        if (c == '}' && curly == 0) || (c == ';' && curly == 0 && round == 0) {
            return from + offset + 1;
        }
    }
    code.len()
}

/// The functions of a file with the lines of code of each: name, first line, length.
fn functions(product: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for at in words(product, "fn") {
        let rest = product[at + 2..].trim_start();
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let name: String = rest.chars().take_while(|c| is_name(*c)).collect();
        if name.is_empty() {
            continue; // a pointer to a function
        }
        let end = item_end(product, at);
        let body = product[at..end].find('{').map_or("", |brace| &product[at + brace + 1..end - 1]);
        let lines = body.lines().filter(|line| !line.trim().is_empty()).count();
        found.push((name, 1 + product[..at].matches('\n').count(), lines));
    }
    found
}

#[test]
fn arrows_point_upwards_only() {
    let mut faults = Vec::new();
    for file in tree() {
        if matches!(file.path.as_str(), "main.rs" | "lib.rs") {
            continue;
        }
        let layer = file.layer();
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == layer) else {
            faults.push(format!("src/{}: `{layer}` is no layer that the list knows", file.path));
            continue;
        };
        for (index, line) in file.code.lines().enumerate() {
            for at in words(line, "crate::") {
                let rest = &line[at + "crate::".len()..];
                let used: String =
                    rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if used != layer && !allowed.contains(&used.as_str()) {
                    let used = if used.is_empty() { "the whole crate" } else { &used };
                    faults.push(format!("{}: `{layer}` uses {used}", file.at(index + 1)));
                }
            }
        }
        for (index, line) in file.product.lines().enumerate() {
            let climbs = line.contains("super::super");
            let leaves = [format!("{layer}.rs"), format!("{layer}/mod.rs")].contains(&file.path)
                && words(line, "super::").next().is_some();
            if climbs || leaves {
                faults.push(format!("{}: say the layer: `crate::…`", file.at(index + 1)));
            }
        }
    }
    assert_none(&faults, "a file may use what its layer may use, and its own folder");
}

#[test]
fn the_list_of_arrows_is_in_the_order_in_which_data_flows() {
    for (index, (layer, allowed)) in ARROWS.iter().enumerate() {
        for used in *allowed {
            let above = ARROWS[..index].iter().any(|(name, _)| name == used);
            assert!(above, "`{layer}` uses `{used}`, which does not stand above it");
        }
    }
}

#[test]
fn pure_layers_do_no_io_read_no_clock_and_have_no_async() {
    let mut faults = Vec::new();
    for file in tree().iter().filter(|file| PURE.contains(&file.layer())) {
        for (index, line) in file.product.lines().enumerate() {
            for word in IMPURE {
                if words(line, word).next().is_some() {
                    faults.push(format!("{}: `{word}`", file.at(index + 1)));
                }
            }
        }
    }
    assert_none(&faults, "what is pure stays pure");
}

#[test]
fn a_library_is_named_in_its_one_place() {
    let mut faults = Vec::new();
    for file in tree() {
        for (library, places) in PLACES {
            let own = names_of_ours(&file.product).contains(library);
            if own || places.iter().any(|place| file.path.starts_with(place)) {
                continue;
            }
            for (index, line) in file.product.lines().enumerate() {
                if names_library(line, library) {
                    faults.push(format!("{}: `{library}`", file.at(index + 1)));
                }
            }
        }
    }
    assert_none(&faults, "a library is named in its one place");
}

/// Whether a line begins a path with the library's name.
fn names_library(line: &str, library: &str) -> bool {
    words(line, library).any(|at| {
        let begins = !line[..at].ends_with("::");
        let rest = &line[at + library.len()..];
        let used = line[..at].trim_end().ends_with("use");
        begins && (rest.starts_with("::") || (used && !rest.starts_with("::")))
    })
}

/// Names of this crate that a file uses without a path: modules declared there, ends of imports.
fn names_of_ours(product: &str) -> BTreeSet<&str> {
    let mut ours = BTreeSet::new();
    for statement in product.split(';') {
        let declared = statement.lines().next_back().unwrap_or_default();
        if let Some(at) = words(declared, "mod").next() {
            ours.insert(declared[at + "mod".len()..].trim());
        } else if let Some(at) = statement.rfind("use crate::") {
            let imported = &statement[at..];
            for name in imported.split(|c: char| !(c.is_alphanumeric() || "_:".contains(c))) {
                ours.extend(name.rsplit("::").next());
            }
        }
    }
    ours
}

#[test]
fn only_the_command_line_prints() {
    let mut faults = Vec::new();
    for file in tree().iter().filter(|file| file.layer() != "cli") {
        for (index, line) in file.product.lines().enumerate() {
            for word in PRINTING {
                if words(line, word).next().is_some() {
                    faults.push(format!("{}: `{word}`", file.at(index + 1)));
                }
            }
        }
    }
    assert_none(&faults, "printing is the command line's");
}

#[test]
fn another_programs_name_stays_in_its_adapter() {
    let mut faults = Vec::new();
    let is_elsewhere =
        |file: &&SourceFile| !KINIT_PLACES.iter().any(|place| file.path.starts_with(place));
    for file in tree().iter().filter(is_elsewhere) {
        let lines = file.text.lines().zip(file.code.lines().zip(file.product.lines()));
        let says = lines.enumerate().filter(|(_, (line, (code, product)))| {
            let in_test = code != product || file.product.is_empty();
            line.to_lowercase().contains("kinit") && !in_test
        });
        let said: Vec<usize> = says.map(|(index, _)| index + 1).collect();
        let excused = KINIT_EXCUSED.iter().find(|(path, _)| *path == file.path);
        if said.len() > excused.map_or(0, |(_, lines)| *lines) {
            faults.push(format!("src/{}: lines {said:?}", file.path));
        }
    }
    assert_none(&faults, "kinit's names are kinit's adapter's");
}

#[test]
fn unsafe_code_is_the_supervisors() {
    let mut faults = Vec::new();
    for file in tree().iter().filter(|file| file.layer() != "supervisor") {
        for (index, line) in file.code.lines().enumerate() {
            if words(line, "unsafe").next().is_some() {
                faults.push(file.at(index + 1));
            }
        }
    }
    assert_none(&faults, "`unsafe` stands in the supervisor only");
}

#[test]
fn nothing_is_left_for_later_or_silenced() {
    let mut faults = Vec::new();
    for file in tree() {
        for (index, (line, code)) in file.text.lines().zip(file.code.lines()).enumerate() {
            let later =
                ["TODO", "FIXME", "XXX"].iter().any(|word| words(line, word).next().is_some());
            let silenced = ["#[allow", "#![allow", "todo!", "unimplemented!"];
            if later || silenced.iter().any(|word| code.contains(word)) {
                faults.push(format!("{}: {}", file.at(index + 1), line.trim()));
            }
        }
    }
    assert_none(&faults, "no TODO, and `#[expect(…, reason = …)]` instead of `#[allow]`");
}

#[test]
fn imports_are_explicit() {
    let mut faults = Vec::new();
    for file in tree() {
        for (index, line) in file.product.lines().enumerate() {
            if words(line, "use").next().is_some() && line.contains("::*") {
                faults.push(format!("{}: {}", file.at(index + 1), line.trim()));
            }
        }
    }
    assert_none(&faults, "no globs outside tests");
}

#[test]
fn every_file_says_what_it_is_for_and_has_a_name_that_says_something() {
    let mut faults = Vec::new();
    for file in tree() {
        if !file.text.starts_with("//!") && !file.product.is_empty() {
            faults.push(format!("{}: it has no module documentation", file.at(1)));
        }
        let name = file.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        if name.split('_').any(|part| EMPTY_NAMES.contains(&part)) {
            faults.push(format!("src/{}: a name for nothing in particular", file.path));
        }
    }
    assert_none(&faults, "module documentation and names");
}

#[test]
fn functions_and_files_stay_short() {
    let (mut files, mut long) = (BTreeMap::new(), BTreeMap::new());
    for file in tree() {
        let in_tests = file.code.lines().zip(file.product.lines());
        let in_tests = in_tests.filter(|(code, product)| code != product).count();
        let lines = file.text.lines().count() - in_tests;
        if !file.product.is_empty() && lines > FILE_LINES_MAX {
            files.insert(file.path.clone(), lines);
        }
        for (name, _, lines) in functions(&file.product) {
            if lines > FUNCTION_LINES_MAX {
                long.insert(format!("{}: {name}", file.path), lines);
            }
        }
    }
    let excused = |list: &[(&str, usize)]| -> BTreeMap<String, usize> {
        list.iter().map(|(name, lines)| ((*name).to_owned(), *lines)).collect()
    };
    assert_eq!(files, excused(&LONG_FILES), "files over {FILE_LINES_MAX} lines without tests");
    assert_eq!(long, excused(&LONG_FUNCTIONS), "functions over {FUNCTION_LINES_MAX} lines");
}

#[test]
fn every_file_is_a_module() {
    let files: BTreeMap<&str, &SourceFile> =
        tree().iter().map(|file| (file.path.as_str(), file)).collect();
    let mut reached = BTreeSet::from(["main.rs".to_owned()]);
    let mut open = vec!["lib.rs".to_owned()];
    while let Some(path) = open.pop() {
        let Some(file) = files.get(path.as_str()) else { continue };
        let folder = match path.rsplit_once('/') {
            Some((folder, "mod.rs")) => format!("{folder}/"),
            None if path == "lib.rs" => String::new(),
            Some(_) | None => format!("{}/", path.trim_end_matches(".rs")),
        };
        for at in words(&file.code, "mod") {
            let rest = file.code[at + "mod".len()..].trim_start();
            let Some((name, _)) = rest.split_once(';') else { continue };
            if name.chars().all(|c| c.is_alphanumeric() || c == '_') {
                open.extend([format!("{folder}{name}.rs"), format!("{folder}{name}/mod.rs")]);
            }
        }
        reached.insert(path);
    }
    let dead: Vec<String> =
        files.into_keys().filter(|path| !reached.contains(*path)).map(str::to_owned).collect();
    assert_none(&dead, "no module declaration leads to these files");
}

#[test]
fn the_readme_shows_a_shipped_manifest_and_the_two_commands() {
    let read = |path: &str| fs::read_to_string(repository().join(path)).unwrap();
    let shown = read("jobs.d/host.yaml");
    for page in READMES {
        let readme = read(page);
        assert!(
            readme.contains(&format!("```yaml\n{shown}```\n")),
            "{page} does not show jobs.d/host.yaml as it is"
        );
        for command in ["cargo run --release -- serve", "cargo test"] {
            assert!(readme.contains(&format!("\n```\n{command}\n```\n")), "{page}: {command}");
        }
    }
}

#[test]
fn a_page_in_chinese_has_the_headings_and_links_of_its_peer() {
    let pages = [READMES, ["docs/kinit.md", "docs/kinit.zh-CN.md"]];
    for [page, peer] in pages {
        let read = |path: &str| fs::read_to_string(repository().join(path)).unwrap();
        let shape = |text: &str| {
            let is_shape = |line: &&str| {
                ["#", "- ", "|", "```"].iter().any(|beginning| line.starts_with(beginning))
            };
            let beginning = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
            text.lines().filter(is_shape).map(beginning).collect::<Vec<_>>()
        };
        let links = |text: &str| {
            let targets = text.match_indices("](").map(|(at, _)| &text[at + 2..]);
            let targets = targets.filter_map(|rest| rest.split(')').next());
            let without_language = |target: &str| target.replace(".zh-CN", "");
            targets.map(without_language).collect::<BTreeSet<_>>()
        };
        let (page_text, peer_text) = (read(page), read(peer));
        assert_eq!(shape(&page_text), shape(&peer_text), "{page}, {peer}");
        assert_eq!(links(&page_text), links(&peer_text), "{page}, {peer}");
    }
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    let root = repository();
    let mut pages = vec![root.join("ARCHITECTURE.md")];
    pages.extend(READMES.map(|page| root.join(page)));
    pages.extend(fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    let mut faults = Vec::new();
    for page in pages.iter().filter(|page| page.extension().is_some_and(|kind| kind == "md")) {
        let text = fs::read_to_string(page).unwrap();
        let ends = text.match_indices("](").map(|(at, _)| &text[at + 2..]);
        for target in ends.filter_map(|rest| rest.split([')', '#']).next()) {
            let there = page.parent().unwrap().join(target).exists();
            if !there && !target.contains("://") {
                faults.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert_none(&faults, "these links lead nowhere");
}

#[test]
fn the_map_of_architecture_md_names_every_layer_and_its_paths_exist() {
    let text = fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    let mut faults = Vec::new();
    for (layer, _) in ARROWS.iter().filter(|(layer, _)| *layer != "lib") {
        if ![format!("\n| `{layer}` |"), format!("\n| `{layer}/` |")]
            .iter()
            .any(|row| text.contains(row))
        {
            faults.push(format!("no row for `{layer}`"));
        }
    }
    for quoted in text.split('`').skip(1).step_by(2) {
        let is_path =
            quoted.contains('/') && [".rs", ".sql"].iter().any(|kind| quoted.ends_with(kind));
        let places = ["", "src/"].map(|folder| repository().join(folder).join(quoted));
        if is_path && !places.iter().any(|place| place.exists()) {
            faults.push(format!("no file `{quoted}`"));
        }
    }
    assert_none(&faults, "ARCHITECTURE.md");
}

#[test]
fn comments_and_texts_are_told_from_code() {
    let text = "let a = \"fn // x\\\"\"; // fn\n/* a /* b */ fn */ let c = '\\''; let d: &'a str = r#\"un\"safe\"#;\n";
    assert_eq!(
        without_comments_and_texts(text),
        "let a = \"_________\";      \n                   let c = '__'; let d: &'a str = r\"_______\";\n"
    );
    let code = "fn a() { b(); }\n#[cfg(test)]\nmod tests {\n    fn c() {}\n}\nfn d() {}\n";
    let product = without_test_items(code);
    assert_eq!(product.lines().count(), code.lines().count());
    assert_eq!(functions(&product), [("a".to_owned(), 1, 1), ("d".to_owned(), 6, 0)]);
    assert!(names_library("use redis::Client;", "redis"));
    assert!(!names_library("use crate::io::redis::open;", "redis"));
    assert!(names_of_ours("use crate::io::redis;\nlet a = 1;").contains("redis"));
    assert!(names_of_ours("pub mod a;\nmod redis;").contains("redis"));
    assert!(!names_of_ours("use crate::io::redis::{open, Answers};").contains("redis"));
}
