//! The last good definitions, by digest, in the state directory (D7, D13): one file each, its name the
//! digest and the job's name, its content the canonical text.

#![expect(clippy::disallowed_methods, reason = "this is where these files are read and written")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::spec::job::{Digest, JobName, JobSpec};

fn place(folder: &Path, name: &JobName, digest: &Digest) -> PathBuf {
    folder.join(format!("{digest}.{name}.json"))
}

/// Reads definitions; those that are missing, or are not what their name says, are left out.
pub fn read(folder: &Path, wanted: Vec<(JobName, Digest)>) -> Vec<JobSpec> {
    let read_one = |(name, digest): (JobName, Digest)| {
        let text = std::fs::read_to_string(place(folder, &name, &digest)).ok()?;
        let spec = JobSpec::from_canonical(&name, &text).ok()?;
        (spec.digest() == digest).then_some(spec)
    };
    wanted.into_iter().filter_map(read_one).collect()
}

/// Writes definitions, each whole or not at all.
pub fn keep(folder: &Path, specs: &[(Digest, Arc<JobSpec>)]) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    for (digest, spec) in specs {
        let place = place(folder, &spec.name, digest);
        if place.exists() {
            continue;
        }
        let draft = place.with_added_extension("new");
        let mut file = std::fs::File::create(&draft)?;
        file.write_all(spec.canonical().as_bytes())?;
        drop(file);
        std::fs::rename(&draft, &place)?;
    }
    Ok(())
}

/// Removes definitions that are not used any more.
pub fn sweep(folder: &Path, used: &BTreeSet<Digest>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let digest = name.to_str().and_then(|name| name.split('.').next());
        if digest.is_some_and(|digest| !used.contains(&Digest(digest.into()))) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
