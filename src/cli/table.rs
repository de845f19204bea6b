//! Columns of text, and text that cannot harm a terminal.

use std::borrow::Cow;

/// How a piece of text looks where colours are shown. The words say the same without them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// As it is.
    Plain,
    /// A heading.
    Bold,
    /// Beside the point.
    Dim,
    /// As it should be.
    Good,
    /// Worth a look.
    Notice,
    /// Not as it should be.
    Bad,
}

/// One piece of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    paint: Paint,
}

/// Lines of text, one after the other.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// Adds a line.
    pub fn line(&mut self, text: impl AsRef<str>) {
        self.0.push_str(text.as_ref());
        self.0.push('\n');
    }

    /// Adds the lines of a text, moved to the right.
    pub fn indented(&mut self, text: &str) {
        for line in text.lines() {
            self.line(format!("  {line}"));
        }
    }

    /// The whole text.
    pub fn text(self) -> String {
        self.0
    }
}

impl Paint {
    /// The paint of an outcome or a state.
    pub fn of(word: &str) -> Self {
        match word {
            "succeeded" | "healthy" | "Synced" => Self::Good,
            "failed" | "timed_out" | "lost" | "degraded" | "Degraded" | "Stalled" | "error" => {
                Self::Bad
            }
            "cancelled" | "missed" | "skipped" | "running" | "paused" | "Blocked" | "stale"
            | "Progressing" | "warning" => Self::Notice,
            _ => Self::Plain,
        }
    }

    /// Text in this paint; as it is where no colours are shown.
    pub fn on(self, text: &str, colour: bool) -> String {
        let code = match self {
            Self::Plain => return text.to_owned(),
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Notice => "33",
            Self::Bad => "31",
        };
        if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

impl Cell {
    /// Text in a paint.
    pub fn painted(text: impl Into<String>, paint: Paint) -> Self {
        Self { text: text.into(), paint }
    }

    /// A word that tells its paint by itself; a dash when there is none.
    pub fn word(word: Option<&str>) -> Self {
        word.map_or_else(Self::none, |word| Self::painted(word, Paint::of(word)))
    }

    /// Text; a dash when there is none.
    pub fn maybe(text: Option<String>) -> Self {
        text.map_or_else(Self::none, Self::from)
    }

    /// A dash.
    pub fn none() -> Self {
        Self::painted("-", Paint::Dim)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::painted(text, Paint::Plain)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::painted(text, Paint::Plain)
    }
}

/// Lays rows out under their headings. Whatever is in a cell, it stays on its line.
pub fn columns(headings: &[&str], rows: &[Vec<Cell>], colour: bool) -> String {
    let heading = headings.iter().map(|text| Cell::painted(*text, Paint::Bold)).collect();
    let all: Vec<&Vec<Cell>> = std::iter::once(&heading).chain(rows).collect();
    let widest = |column: usize| all.iter().map(|row| cell_width(row, column)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..headings.len()).map(widest).collect();
    let mut text = String::new();
    for row in all {
        let mut gap = 0;
        for (column, cell) in row.iter().enumerate() {
            let shown = plain(&cell.text);
            text.push_str(&" ".repeat(gap));
            text.push_str(&cell.paint.on(&shown, colour));
            gap = widths.get(column).map_or(0, |width| width - width_of(&shown)) + 2;
        }
        text.push('\n');
    }
    text
}

fn cell_width(row: &[Cell], column: usize) -> usize {
    row.get(column).map_or(0, |cell| width_of(&plain(&cell.text)))
}

/// Text on one line, in which nothing moves the cursor or changes the direction of writing.
pub fn plain(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_harmful) {
        Cow::Owned(text.chars().map(shown).collect())
    } else {
        text.into()
    }
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn shown(c: char) -> String {
    if is_harmful(c) { c.escape_default().to_string() } else { c.to_string() }
}

/// How many columns of a terminal a text takes: two for the characters of East Asian scripts.
fn width_of(text: &str) -> usize {
    let wide = |c: char| {
        matches!(u32::from(c), 0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff
            | 0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x2_0000..=0x3_fffd)
    };
    text.chars().map(|c| if wide(c) { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_keep_to_their_lines() {
        let rows = vec![
            vec!["a".into(), Cell::word(Some("failed")), "x\ny\u{1b}[2J".into()],
            vec!["备份".into(), Cell::none(), Cell::maybe(None)],
        ];
        assert_eq!(
            columns(&["NAME", "OUTCOME", "NOTE"], &rows, false),
            "NAME  OUTCOME  NOTE\n\
             a     failed   x\\ny\\u{1b}[2J\n\
             备份  -        -\n"
        );
        assert_eq!(
            columns(&["NAME", "OUTCOME"], &rows[..1], true),
            "\u{1b}[1mNAME\u{1b}[0m  \u{1b}[1mOUTCOME\u{1b}[0m\n\
             a     \u{1b}[31mfailed\u{1b}[0m   x\\ny\\u{1b}[2J\n"
        );
    }
}
