//! A command line as words, split as a POSIX shell does, without a shell: quotes and backslashes
//! only. Nothing is expanded.

use std::ops::Range;

/// A command line that was split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// The words.
    pub argv: Vec<String>,
    /// The first characters, outside quotes, that a shell would act upon: `|`, `$`, `*` …
    pub shell_signs: Option<Range<usize>>,
}

/// Why a command line cannot be split.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct WordsError {
    /// One sentence.
    pub message: &'static str,
    /// The place in the text.
    pub at: Range<usize>,
}

/// Splits a command line.
///
/// ```
/// use cronwright::spec::words::split;
/// let words = split(r#"backup --label "of the day" a\ b"#).unwrap();
/// assert_eq!(words.argv, ["backup", "--label", "of the day", "a b"]);
/// ```
pub fn split(text: &str) -> Result<Words, WordsError> {
    let mut splitter = Splitter { text, at: 0, argv: Vec::new(), word: None, shell_signs: None };
    while let Some(sign) = splitter.next() {
        splitter.outside_quotes(sign)?;
    }
    splitter.end_word();
    Ok(Words { argv: splitter.argv, shell_signs: splitter.shell_signs })
}

struct Splitter<'t> {
    text: &'t str,
    at: usize,
    argv: Vec<String>,
    /// The word that is being read; `""` makes an empty one.
    word: Option<String>,
    shell_signs: Option<Range<usize>>,
}

impl Splitter<'_> {
    fn next(&mut self) -> Option<char> {
        let sign = self.text.get(self.at..)?.chars().next()?;
        self.at += sign.len_utf8();
        Some(sign)
    }

    fn end_word(&mut self) {
        self.argv.extend(self.word.take());
    }

    fn push(&mut self, sign: char) {
        self.word.get_or_insert_default().push(sign);
    }

    fn outside_quotes(&mut self, sign: char) -> Result<(), WordsError> {
        let start = self.at - sign.len_utf8();
        match sign {
            ' ' | '\t' | '\n' | '\r' => self.end_word(),
            '\'' => self.single_quotes(start)?,
            '"' => self.double_quotes(start)?,
            '\\' => match self.next() {
                // A backslash before a line break joins the lines.
                Some('\n') => {}
                Some(escaped) => self.push(escaped),
                None => {
                    let at = start..self.at;
                    return Err(WordsError { message: "a backslash ends the command", at });
                }
            },
            _ => {
                let at_start = self.word.is_none();
                let acts = matches!(
                    sign,
                    '|' | '&' | ';' | '<' | '>' | '(' | ')' | '$' | '`' | '*' | '?' | '['
                ) || (at_start && matches!(sign, '~' | '#'));
                if acts && self.shell_signs.is_none() {
                    self.shell_signs = Some(start..self.at);
                }
                self.push(sign);
            }
        }
        Ok(())
    }

    fn single_quotes(&mut self, start: usize) -> Result<(), WordsError> {
        self.word.get_or_insert_default();
        loop {
            match self.next() {
                Some('\'') => return Ok(()),
                Some(sign) => self.push(sign),
                None => return Err(unclosed(start)),
            }
        }
    }

    fn double_quotes(&mut self, start: usize) -> Result<(), WordsError> {
        self.word.get_or_insert_default();
        loop {
            let before = self.at;
            match self.next() {
                Some('"') => return Ok(()),
                Some('\\') => match self.next() {
                    Some('\n') => {}
                    Some(escaped @ ('"' | '\\' | '$' | '`')) => self.push(escaped),
                    Some(other) => {
                        self.push('\\');
                        self.push(other);
                    }
                    None => return Err(unclosed(start)),
                },
                Some(sign) => {
                    if matches!(sign, '$' | '`') && self.shell_signs.is_none() {
                        self.shell_signs = Some(before..self.at);
                    }
                    self.push(sign);
                }
                None => return Err(unclosed(start)),
            }
        }
    }
}

fn unclosed(start: usize) -> WordsError {
    WordsError { message: "this quote is not closed", at: start..start + 1 }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn words_are_those_of_a_posix_shell() {
        for (text, expected) in [
            ("", vec![]),
            ("  \t ", vec![]),
            ("a  b", vec!["a", "b"]),
            ("'a b' c", vec!["a b", "c"]),
            (r#""a \" \n $" b"#, vec!["a \" \\n $", "b"]),
            (r"a\ b \'", vec!["a b", "'"]),
            ("''", vec![""]),
            ("a''b\"c\"", vec!["abc"]),
            ("a \\\n b", vec!["a", "b"]),
            ("date +%F # no comment", vec!["date", "+%F", "#", "no", "comment"]),
            ("échо 'ü'", vec!["échо", "ü"]),
        ] {
            assert_eq!(
                split(text).map(|words| words.argv),
                Ok(expected.iter().map(|s| (*s).to_owned()).collect()),
                "{text}"
            );
        }
        for (text, at) in [("a 'b", 2..3), ("a \"b\\\"", 2..3), ("a\\", 1..2)] {
            assert_eq!(split(text).map_err(|error| error.at), Err(at), "{text}");
        }
    }

    #[test]
    fn what_a_shell_would_act_upon_is_noticed_outside_quotes_only() {
        for (text, expected) in [
            ("a | b", Some(2..3)),
            ("echo $HOME", Some(5..6)),
            ("echo \"$HOME\"", Some(6..7)),
            ("echo '$HOME' \\$x", None),
            ("ls *.txt", Some(3..4)),
            ("ls ~/x", Some(3..4)),
            ("rsync host:~/x a#b", None),
            ("find . -name '*.log'", None),
            ("a --x=1 -- {} %", None),
        ] {
            assert_eq!(split(text).ok().and_then(|words| words.shell_signs), expected, "{text}");
        }
    }
}
