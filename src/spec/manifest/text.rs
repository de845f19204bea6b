//! From bytes to text: what is no text at all is said at its place.

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Place, SourceText, codes};

/// The text of a file without its byte order mark; else what is wrong, at its place in what can be
/// shown of it.
pub fn text_of(path: &str, bytes: &[u8]) -> Result<Arc<SourceText>, Box<Diagnostic>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let wrong = |at: usize, code: &'static str, message: &str, help: &str| {
        let before = String::from_utf8_lossy(bytes.get(..at).unwrap_or_default()).len();
        let source = Arc::new(SourceText::new(path, String::from_utf8_lossy(bytes)));
        let end = source
            .text
            .get(before..)
            .and_then(|rest| rest.chars().next())
            .map_or(0, char::len_utf8);
        let place = Place::new(&source, before, before + end);
        Err(Box::new(Diagnostic::new(code, message).at(place).help(help)))
    };
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return wrong(0, codes::NOT_UTF8, "this file is UTF-16", "save it as UTF-8");
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        let help = "it was probably cut off while it was written; write it again";
        return wrong(at, codes::NUL_BYTE, "this file holds a NUL byte", help);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Arc::new(SourceText::new(path, text))),
        Err(error) => {
            let message = "this file is not UTF-8 from here on";
            wrong(error.valid_up_to(), codes::NOT_UTF8, message, "save it as UTF-8")
        }
    }
}
