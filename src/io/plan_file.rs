//! Plans that are kept in files: `plan --out FILE`, `apply --plan FILE`.

use std::fs::{OpenOptions, rename};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The largest plan that is read, in bytes.
const BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Writes a plan, whole or not at all.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let Some(name) = path.file_name() else {
        return Err(io::Error::other("it names no file"));
    };
    let mut draft_name = std::ffi::OsString::from(".");
    draft_name.push(name);
    draft_name.push(".draft");
    let draft = path.with_file_name(draft_name);
    let mut options = OpenOptions::new();
    // What jobs are called and do may be nobody else's business.
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    rename(draft, path)
}

/// Reads a plan that was kept.
pub fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = OpenOptions::new().read(true).open(path)?;
    if file.take(BYTES_MAX + 1).read_to_string(&mut text)? as u64 > BYTES_MAX {
        return Err(io::Error::other("it is too large to be a plan"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        write(&path, "{}").unwrap();
        write(&path, "{\"id\": 1}").unwrap();
        assert_eq!(read(&path).unwrap(), "{\"id\": 1}");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
        assert!(read(&folder.path().join("none")).is_err());
        assert!(write(Path::new("/"), "x").is_err());
    }
}
