//! The long text of every code, for `explain E0107`: the page `docs/diagnostics.md`, part by part.
//!
//! The page is the one owner of these texts, and is built into the program; [`codes`] owns codes and
//! titles. A part is the cause, one example between fences, and the fix after `**Fix:**`.

use crate::diagnostic::codes::{self, Code};
use crate::diagnostic::suggest::nearest;

/// The page as it is in the repository.
const PAGE: &str = include_str!("../../docs/diagnostics.md");

const FENCE: &str = "```";
const FIX: &str = "**Fix:** ";

/// What there is to know about a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// The code.
    pub code: Code,
    /// What makes it appear, in paragraphs of Markdown.
    pub cause: &'static str,
    /// The language of the example, as after a fence.
    pub language: &'static str,
    /// Something to which it applies, in lines.
    pub example: &'static str,
    /// What to do about it.
    pub fix: &'static str,
}

/// The explanation of a code, in any case.
pub fn explanation(id: &str) -> Option<Explanation> {
    let code = codes::ALL.iter().find(|code| code.id.eq_ignore_ascii_case(id))?;
    let heading = format!("\n## {}: {}\n", code.id, code.title);
    let start = PAGE.find(&heading)? + heading.len();
    let part = PAGE.get(start..)?;
    let part = part.split_once("\n#").map_or(part, |(part, _)| part);
    let (cause, rest) = part.split_once(FENCE)?;
    let (language, rest) = rest.split_once('\n')?;
    let (example, rest) = rest.split_once(FENCE)?;
    let fix = rest.trim().strip_prefix(FIX)?;
    Some(Explanation { code: *code, cause: cause.trim(), language, example, fix })
}

/// Whether a word has the form of a code: `E0107`, `w03`.
pub fn is_code(word: &str) -> bool {
    let digits = word.strip_prefix(['E', 'e', 'W', 'w']).unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The code that was probably meant.
pub fn nearest_code(word: &str) -> Option<&'static str> {
    let upper = word.to_ascii_uppercase();
    let same_digits = codes::ALL.iter().find(|code| code.id.get(1..) == upper.get(1..));
    if let Some(code) = same_digits {
        return Some(code.id);
    }
    // Both in lower case: that is how words are compared.
    let lower: Vec<String> = codes::ALL.iter().map(|code| code.id.to_ascii_lowercase()).collect();
    let near = nearest(word, lower.iter().map(String::as_str))?;
    codes::ALL.iter().map(|code| code.id).find(|id| id.eq_ignore_ascii_case(near))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_cause_an_example_and_a_fix() {
        for code in codes::ALL {
            let Some(found) = explanation(code.id) else {
                panic!("docs/diagnostics.md explains {} without example and `{FIX}`", code.id);
            };
            assert!(found.cause.len() > 20 && !found.cause.contains("**"), "{}", code.id);
            assert!(!found.example.trim().is_empty() && !found.language.is_empty(), "{}", code.id);
            assert!(found.fix.len() > 5 && !found.fix.contains(FENCE), "{}", code.id);
        }
    }

    #[test]
    fn codes_are_recognised_and_slips_are_corrected() {
        for word in ["E0107", "w0311", "E1"] {
            assert!(is_code(word), "{word}");
        }
        for word in ["", "E", "0107", "E01x7", "@daily", "0 3 * * *", "é1"] {
            assert!(!is_code(word), "{word}");
        }
        assert_eq!(explanation("e0107"), explanation("E0107"));
        assert_eq!(nearest_code("w0107"), Some("E0107"));
        assert_eq!(nearest_code("E01o7"), Some("E0107"));
        assert_eq!(nearest_code("e0106"), Some("E0101"));
        assert_eq!(nearest_code("E99999999"), None);
    }
}
