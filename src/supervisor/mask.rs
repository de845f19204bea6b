//! Secrets are kept out of what is kept of an execution.
//!
//! A secret is looked for as it stands, line by line when it has several, and as JSON, URLs and Base64 would
//! write it. What else a program makes of it (another encoding, one character a line) is not found. Shorter
//! secrets than [`SECRET_BYTES_MIN`] are not looked for: what they are found in would be nonsense.

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::supervisor::capture::Kept;

/// The shortest text that is masked, in bytes.
const SECRET_BYTES_MIN: usize = 4;

/// The shortest line of a longer secret that is masked by itself, in bytes: others stand in many a text.
const LINE_BYTES_MIN: usize = 8;

/// What stands in the place of a secret.
const MASKED: &str = "***";

/// All but what RFC 3986 (2.3) leaves as it is.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The secrets of one execution.
#[derive(Debug)]
pub(crate) struct Mask {
    finder: AhoCorasick,
    texts: Vec<Vec<u8>>,
}

impl Mask {
    /// A mask of these secrets; none: there is nothing to be masked.
    pub(crate) fn new<'s>(secrets: impl Iterator<Item = &'s str>) -> Option<Self> {
        let long = secrets.filter(|secret| secret.len() >= SECRET_BYTES_MIN);
        let texts: BTreeSet<Vec<u8>> = long.flat_map(forms).collect();
        if texts.is_empty() {
            return None;
        }
        let texts: Vec<Vec<u8>> = texts.into_iter().collect();
        let mut builder = AhoCorasick::builder();
        // It fails only for more texts than a process can have variables.
        let finder = builder.match_kind(MatchKind::LeftmostLongest).build(&texts).ok()?;
        Some(Self { finder, texts })
    }

    /// What is kept of an output, masked. A part of a secret is one as well where the output was cut, and at its
    /// end, where the rest may be about to come.
    pub(crate) fn output(&self, kept: Kept) -> Kept {
        let Kept { mut head, mut tail, bytes } = kept;
        let before = head.len() + tail.len();
        if before as u64 >= bytes {
            head.append(&mut tail);
            head = self.text(&head);
        } else {
            head = self.text(&head);
            let part = self.part_at_beginning(&tail);
            let rest = self.text(tail.get(part..).unwrap_or_default());
            tail = if part > 0 { [MASKED.as_bytes(), &rest].concat() } else { rest };
        }
        let after = (head.len() + tail.len()) as u64;
        Kept { head, tail, bytes: bytes.saturating_sub(before as u64).saturating_add(after) }
    }

    /// JSON text with the secrets in its texts, keys and numbers masked.
    pub(crate) fn json(&self, json: &str) -> String {
        match serde_json::from_str(json) {
            Ok(value) => self.value(value).to_string(),
            // Whoever calls this has looked that it is.
            Err(_) => "null".to_owned(),
        }
    }

    fn value(&self, value: Value) -> Value {
        let masked = |text: &str| String::from_utf8_lossy(&self.text(text.as_bytes())).into_owned();
        match value {
            Value::String(text) => Value::String(masked(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => {
                fields.into_iter().map(|(key, field)| (masked(&key), self.value(field))).collect()
            }
            Value::Number(number) if self.finder.is_match(&number.to_string()) => MASKED.into(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value,
        }
    }

    /// A text, masked.
    pub(crate) fn text(&self, text: &[u8]) -> Vec<u8> {
        let mut masked = Vec::with_capacity(text.len());
        let mut done = 0;
        for found in self.finder.find_iter(text) {
            masked.extend_from_slice(text.get(done..found.start()).unwrap_or_default());
            masked.extend_from_slice(MASKED.as_bytes());
            done = found.end();
        }
        let rest = text.get(done..).unwrap_or_default();
        let part = self.part_at_end(rest);
        masked.extend_from_slice(&rest[..rest.len() - part]);
        if part > 0 {
            masked.extend_from_slice(MASKED.as_bytes());
        }
        masked
    }

    /// How many bytes at the end are the beginning of a secret.
    fn part_at_end(&self, text: &[u8]) -> usize {
        self.longest_part(text.len(), |secret, part| text.ends_with(&secret[..part]))
    }

    /// How many bytes at the beginning are the end of a secret.
    fn part_at_beginning(&self, text: &[u8]) -> usize {
        self.longest_part(text.len(), |secret, part| {
            text.starts_with(&secret[secret.len() - part..])
        })
    }

    /// The longest part for which `is_there` is true of a secret: at least [`SECRET_BYTES_MIN`] bytes, else 0.
    fn longest_part(&self, most: usize, is_there: impl Fn(&[u8], usize) -> bool) -> usize {
        let longest = |secret: &Vec<u8>| {
            let parts = SECRET_BYTES_MIN..=most.min(secret.len() - 1);
            parts.rev().find(|part| is_there(secret, *part))
        };
        self.texts.iter().filter_map(longest).max().unwrap_or(0)
    }
}

/// What a secret may look like in an output.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![secret.as_bytes().to_vec()];
    let lines = secret.lines().map(str::trim).filter(|line| line.len() >= LINE_BYTES_MIN);
    forms.extend(lines.map(|line| line.as_bytes().to_vec()));
    // The quotes around it are no part of it.
    let json = Value::from(secret).to_string();
    forms.push(json.get(1..json.len() - 1).unwrap_or_default().as_bytes().to_vec());
    let escaped = utf8_percent_encode(secret, ESCAPED).to_string();
    forms.push(escaped.replace("%20", "+").into_bytes());
    forms.push(escaped.into_bytes());
    for before in 0..3 {
        forms.push(in_base64(secret, before, &STANDARD_NO_PAD));
        forms.push(in_base64(secret, before, &URL_SAFE_NO_PAD));
    }
    forms.retain(|form| form.len() >= SECRET_BYTES_MIN);
    forms
}

/// The digits that a secret alone decides when so many bytes stand before it.
fn in_base64(secret: &str, before: usize, engine: &impl Engine) -> Vec<u8> {
    let digits = engine.encode([&[0; 3][..before], secret.as_bytes()].concat());
    let first = (before * 8).div_ceil(6);
    let end = (before + secret.len()) * 8 / 6;
    digits.get(first..end).unwrap_or_default().as_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "hunter2/ö \"x\"";

    fn mask(secrets: &[&str]) -> Mask {
        Mask::new(secrets.iter().copied()).unwrap()
    }

    fn masked(mask: &Mask, text: &str) -> String {
        String::from_utf8(mask.text(text.as_bytes())).unwrap()
    }

    fn kept(mask: &Mask, head: &str, tail: &str, bytes: u64) -> (String, String, u64) {
        let (head, tail) = (head.as_bytes().to_vec(), tail.as_bytes().to_vec());
        let kept = mask.output(Kept { head, tail, bytes });
        (String::from_utf8(kept.head).unwrap(), String::from_utf8(kept.tail).unwrap(), kept.bytes)
    }

    #[test]
    fn a_secret_is_found_in_the_forms_in_which_programs_write_it() {
        let mask = mask(&[SECRET]);
        let json = serde_json::json!({ "key": SECRET }).to_string();
        for (text, expected) in [
            (format!("a {SECRET} b {SECRET}"), "a *** b ***".to_owned()),
            (json, r#"{"key":"***"}"#.to_owned()),
            ("q=hunter2%2F%C3%B6%20%22x%22&r".to_owned(), "q=***&r".to_owned()),
            ("q=hunter2%2F%C3%B6+%22x%22&r".to_owned(), "q=***&r".to_owned()),
            ("nothing here".to_owned(), "nothing here".to_owned()),
        ] {
            assert_eq!(masked(&mask, &text), expected);
        }
        for before in ["", "u", "us", "usr", "user:"] {
            for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                let encoded = engine.encode(format!("{before}{SECRET}!"));
                let shown = masked(&mask, &encoded);
                assert!(shown.contains("***"), "{encoded}: {shown}");
                // At most a digit at each side, which says less than a byte.
                assert!(shown.len() <= before.len() * 2 + 3 + 6, "{encoded}: {shown}");
            }
        }
    }

    #[test]
    fn a_part_of_a_secret_is_masked_where_the_output_was_cut() {
        let mask = mask(&["0123456789"]);
        for (head, tail, bytes, expected) in [
            ("a 01234", "56789 b", 14, ("a *** b", "", 7)),
            ("a 01234", "56789 b", 99, ("a ***", "*** b", 95)),
            ("a 0123456789", "x", 99, ("a ***", "x", 92)),
            ("a 012", "789 b", 99, ("a 012", "789 b", 99)),
            ("a 012345", "", 8, ("a ***", "", 5)),
            ("", "", 0, ("", "", 0)),
        ] {
            let (head_after, tail_after, bytes_after) = expected;
            let expected = (head_after.to_owned(), tail_after.to_owned(), bytes_after);
            assert_eq!(kept(&mask, head, tail, bytes), expected, "{head:?} {tail:?}");
        }
    }

    #[test]
    fn secrets_of_several_lines_are_masked_line_by_line_and_short_ones_not_at_all() {
        let mask = mask(&["-----BEGIN KEY-----\nabcdefgh\nxy\n-----END KEY-----\n", "abc", ""]);
        let text = "> abcdefgh\n> xy\n> -----END KEY-----\nabc";
        assert_eq!(masked(&mask, text), "> ***\n> xy\n> ***\nabc");
        assert!(Mask::new(["abc", ""].into_iter()).is_none());
    }

    #[test]
    fn results_stay_json() {
        let mask = mask(&["314159", "hunter2"]);
        let json = r#"{"hunter2": [314159, "x314159x", 1, null], "plain": true}"#;
        assert_eq!(mask.json(json), r#"{"***":["***","x***x",1,null],"plain":true}"#);
    }
}
