//! The manifests of one commit: what `ls-tree` names, read with `cat-file --batch`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::io::files::{
    DEPTH_MAX, ENTRIES_MAX, FILE_BYTES_MAX, FILES_MAX, FileProblem, SourceState, TOTAL_BYTES_MAX,
    is_manifest_name,
};
use crate::io::git::GitError;
use crate::io::git::repository::{Commit, Repository, is_hash, tree_path};
use crate::spec::manifest::{Content, ManifestFile};

/// How much a list of a tree may be, in bytes.
const LIST_BYTES_MAX: u64 = 64 << 20;
/// How much `cat-file` says about each object beside its contents, in bytes.
const HEADER_BYTES_MAX: u64 = 128;

/// The manifests below a path of one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitTree {
    /// Whether all of it was seen. Only [`SourceState::Read`] says that what is not there was removed.
    pub state: SourceState,
    /// Sorted by path.
    pub files: Vec<GitFile>,
}

/// A manifest in a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitFile {
    /// Where it is in the repository, with `/`.
    pub path: Arc<str>,
    /// Its bytes.
    pub content: Result<Arc<[u8]>, FileProblem>,
    /// BLAKE3 of its bytes; all zero when it was not read.
    pub digest: [u8; 32],
    /// The name of its object.
    object: String,
}

impl GitTree {
    /// The files as manifests are loaded from them, as those of the source of this name.
    pub fn manifests(&self, source: &str) -> Vec<ManifestFile> {
        let source: Arc<str> = source.into();
        let manifest = |file: &GitFile| ManifestFile {
            path: Arc::clone(&file.path),
            source: Arc::clone(&source),
            content: match &file.content {
                Ok(bytes) => Content::Bytes(Arc::clone(bytes)),
                Err(problem) => Content::Refused(problem.diagnostic(&file.path)),
            },
        };
        self.files.iter().map(manifest).collect()
    }

    fn without_files(state: SourceState) -> Self {
        Self { state, files: Vec::new() }
    }
}

impl Repository {
    /// The manifests below `path` (a folder, or one file) of a commit. The same names count as in a
    /// folder of manifests, and the same bounds hold; links and submodules are not followed. What
    /// `known` has read is not read again.
    pub fn read(
        &self,
        commit: &Commit,
        path: &str,
        known: Option<&GitTree>,
    ) -> Result<GitTree, GitError> {
        let path = tree_path(path)?;
        let mut listed = match self.entries(&commit.id, &path)? {
            Ok(listed) => listed,
            Err(state) => return Ok(GitTree::without_files(state)),
        };
        listed.files.sort_by(|a, b| a.path.cmp(&b.path));
        let mut left = TOTAL_BYTES_MAX;
        for entry in &mut listed.files {
            if entry.problem.is_none() {
                match left.checked_sub(entry.bytes) {
                    Some(rest) => left = rest,
                    None => entry.problem = Some(FileProblem::NoRoom),
                }
            }
        }
        let files = self.contents(listed.files, known)?;
        let state = match listed.too_deep {
            Some(folder) => SourceState::TooDeep(folder),
            None if files.is_empty() => SourceState::Empty,
            None => SourceState::Read,
        };
        Ok(GitTree { state, files })
    }

    /// What `path` of a commit holds; or the state of a source of which nothing is looked at.
    fn entries(&self, commit: &str, path: &str) -> Result<Result<Listed, SourceState>, GitError> {
        let asked = format!("{commit}:{path}\n");
        let answer = self.git("cat-file").arg("--batch-check").input(asked.as_bytes()).output()?;
        let answer = String::from_utf8_lossy(&answer);
        let mut words = answer.split_ascii_whitespace();
        let (Some(object), Some(kind)) = (words.next(), words.next()) else {
            return Err(GitError::Damaged("cat-file"));
        };
        match (kind, words.next()) {
            ("tree", Some(_)) if is_hash(object) => {}
            ("blob", Some(bytes)) if is_hash(object) => {
                let entry = Entry {
                    path: path.to_owned(),
                    object: object.to_owned(),
                    bytes: bytes.parse().unwrap_or(u64::MAX),
                    problem: None,
                };
                return Ok(Ok(Listed { files: vec![entry.within_bounds()], too_deep: None }));
            }
            _ => return Ok(Err(SourceState::Missing)),
        }
        let list = self.git("ls-tree").args(&["-r", "-l", "-z", "--full-tree", object]);
        match list.output_max(LIST_BYTES_MAX).output() {
            Ok(list) => Listed::parse(&list, path),
            Err(GitError::TooMuch(_)) => Ok(Err(SourceState::TooManyFiles)),
            Err(error) => Err(error),
        }
    }

    /// Reads what is not known yet.
    fn contents(
        &self,
        entries: Vec<Entry>,
        known: Option<&GitTree>,
    ) -> Result<Vec<GitFile>, GitError> {
        let mut read: HashMap<String, Bytes> = HashMap::new();
        for file in known.iter().flat_map(|tree| &tree.files) {
            if let Ok(bytes) = &file.content {
                let bytes = Bytes { bytes: Arc::clone(bytes), digest: file.digest };
                read.insert(file.object.clone(), bytes);
            }
        }
        let (mut wanted, mut output_max) = (String::new(), 0);
        for entry in entries.iter().filter(|entry| entry.problem.is_none()) {
            if !read.contains_key(&entry.object) {
                writeln!(wanted, "{}", entry.object).map_err(|_| GitError::Damaged("cat-file"))?;
                output_max += entry.bytes + HEADER_BYTES_MAX;
            }
        }
        if !wanted.is_empty() {
            let git = self.git("cat-file").args(&["--batch", "--buffer"]);
            let output = git.input(wanted.as_bytes()).output_max(output_max).output()?;
            take_objects(&output, wanted.lines(), &mut read)?;
        }
        let file = |entry: Entry| {
            let content = match entry.problem {
                Some(problem) => Err(problem),
                None => match read.get(&entry.object) {
                    Some(content) => Ok(content.clone()),
                    None => return Err(GitError::Damaged("cat-file")),
                },
            };
            Ok(GitFile {
                path: entry.path.into(),
                digest: content.as_ref().map(|content| content.digest).unwrap_or_default(),
                content: content.map(|content| content.bytes),
                object: entry.object,
            })
        };
        entries.into_iter().map(file).collect()
    }
}

/// Bytes of an object, and their BLAKE3.
#[derive(Debug, Clone)]
struct Bytes {
    bytes: Arc<[u8]>,
    digest: [u8; 32],
}

/// Takes the objects out of an answer of `cat-file --batch`, which has them in the order asked for:
/// `HASH blob SIZE`, a line end, the bytes, a line end.
fn take_objects<'w>(
    mut answer: &[u8],
    wanted: impl Iterator<Item = &'w str>,
    read: &mut HashMap<String, Bytes>,
) -> Result<(), GitError> {
    let damaged = || GitError::Damaged("cat-file");
    for object in wanted {
        let end = answer.iter().position(|byte| *byte == b'\n').ok_or_else(damaged)?;
        let (header, rest) = answer.split_at_checked(end).ok_or_else(damaged)?;
        let header = str::from_utf8(header).map_err(|_| damaged())?;
        let size = header.strip_prefix(object).and_then(|rest| rest.strip_prefix(" blob "));
        let size: usize = size.and_then(|size| size.parse().ok()).ok_or_else(damaged)?;
        let bytes = rest.get(1..=size).ok_or_else(damaged)?;
        answer = rest.get(size + 2..).ok_or_else(damaged)?;
        let digest = *blake3::hash(bytes).as_bytes();
        read.insert(object.to_owned(), Bytes { bytes: bytes.into(), digest });
    }
    Ok(())
}

/// A manifest that a tree names.
#[derive(Debug)]
struct Entry {
    path: String,
    object: String,
    bytes: u64,
    problem: Option<FileProblem>,
}

impl Entry {
    fn within_bounds(mut self) -> Self {
        if self.bytes > FILE_BYTES_MAX {
            self.problem = Some(FileProblem::TooLarge(self.bytes));
        }
        self
    }
}

/// The manifests of a tree.
#[derive(Debug)]
struct Listed {
    files: Vec<Entry>,
    /// A folder that lies too deep.
    too_deep: Option<String>,
}

impl Listed {
    /// Reads `MODE KIND HASH SIZE\tPATH\0…`; `below` is where the tree is.
    fn parse(list: &[u8], below: &str) -> Result<Result<Self, SourceState>, GitError> {
        let mut listed = Self { files: Vec::new(), too_deep: None };
        let records = list.split(|byte| *byte == 0).filter(|record| !record.is_empty());
        for (number, record) in records.enumerate() {
            if number >= ENTRIES_MAX {
                return Ok(Err(SourceState::TooManyFiles));
            }
            listed.take(record, below).ok_or(GitError::Damaged("ls-tree"))?;
            if listed.files.len() > FILES_MAX {
                return Ok(Err(SourceState::TooManyFiles));
            }
        }
        Ok(Ok(listed))
    }

    fn take(&mut self, record: &[u8], below: &str) -> Option<()> {
        let tab = record.iter().position(|byte| *byte == b'\t')?;
        let (head, name) = (str::from_utf8(record.get(..tab)?).ok()?, record.get(tab + 1..)?);
        let mut words = head.split_ascii_whitespace();
        let (mode, kind, object) = (words.next()?, words.next()?, words.next()?);
        let lossy = String::from_utf8_lossy(name);
        let (folder, last) = lossy.rsplit_once('/').unwrap_or(("", &lossy));
        let hidden = lossy.split('/').any(|part| part.starts_with('.'));
        if kind != "blob" || hidden || !is_manifest_name(last) {
            return Some(());
        }
        let slash = if below.is_empty() { "" } else { "/" };
        let path = format!("{below}{slash}{lossy}");
        if folder.split('/').filter(|part| !part.is_empty()).count() > DEPTH_MAX {
            self.too_deep = Some(format!("{below}{slash}{folder}"));
            return Some(());
        }
        let problem = if str::from_utf8(name).is_err() {
            Some(FileProblem::NameNotUtf8)
        } else if mode == "120000" {
            Some(FileProblem::LinkInGit)
        } else {
            None
        };
        let bytes = words.next()?.parse().ok()?;
        let entry = Entry { path, object: object.to_owned(), bytes, problem };
        self.files.push(if entry.problem.is_none() { entry.within_bounds() } else { entry });
        Some(())
    }
}
