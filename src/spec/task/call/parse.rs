//! The reader of calls: from the left to the right, one function per kind of value.

use std::ops::Range;

use crate::spec::task::call::{
    Argument, CALL_BYTES_MAX, Call, CallError, DEPTH_MAX, PATH_BYTES_MAX, PlacedCall, VALUES_MAX,
};

/// Reads the whole text.
pub(super) fn call(text: &str) -> Result<PlacedCall, CallError> {
    if text.len() > CALL_BYTES_MAX {
        let message = format!("this call has {} bytes, more than {CALL_BYTES_MAX}", text.len());
        return Err(CallError { at: 0..0, message, help: None });
    }
    let mut reader = Reader { text, at: 0, values: 0 };
    reader.space();
    let path = reader.path()?;
    reader.space();
    if !reader.take('(') {
        let help = Some("write `()` behind the path, with the arguments between");
        return Err(CallError { help, ..reader.unexpected("`(` and the arguments") });
    }
    let call = Call {
        path: text.get(path.clone()).unwrap_or_default().to_owned(),
        args: Vec::new(),
        kwargs: Vec::new(),
    };
    let mut placed = PlacedCall { call, path, args: Vec::new(), kwargs: Vec::new() };
    reader.arguments(&mut placed)?;
    reader.space();
    if reader.at < text.len() {
        let message = "nothing may follow the call".to_owned();
        return Err(CallError { at: reader.at..text.trim_end().len(), message, help: None });
    }
    Ok(placed)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    values: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let sign = self.peek()?;
        self.at += sign.len_utf8();
        Some(sign)
    }

    fn take(&mut self, wanted: char) -> bool {
        let is_there = self.peek() == Some(wanted);
        if is_there {
            self.at += wanted.len_utf8();
        }
        is_there
    }

    /// Goes over all characters that are meant.
    fn over(&mut self, meant: impl Fn(char) -> bool) -> Range<usize> {
        let start = self.at;
        let rest = self.rest();
        self.at += rest.find(|sign| !meant(sign)).unwrap_or(rest.len());
        start..self.at
    }

    fn space(&mut self) {
        self.over(|sign| matches!(sign, ' ' | '\t' | '\r' | '\n'));
    }

    fn part(&self, range: Range<usize>) -> &str {
        self.text.get(range).unwrap_or_default()
    }

    fn error(&self, start: usize, message: impl Into<String>) -> CallError {
        CallError { at: start..self.at, message: message.into(), help: None }
    }

    /// The next character is not what can stand here.
    fn unexpected(&self, wanted: &str) -> CallError {
        let end = self.at + self.peek().map_or(0, char::len_utf8);
        let message = match self.peek() {
            Some(sign) => format!("`{}` stands where {wanted} is due", sign.escape_debug()),
            None => format!("the call ends where {wanted} is due"),
        };
        CallError { at: self.at..end, message, help: None }
    }

    fn name(&mut self) -> Option<Range<usize>> {
        let begins = |sign: char| sign.is_ascii_alphabetic() || sign == '_';
        self.peek().filter(|sign| begins(*sign))?;
        Some(self.over(|sign| begins(sign) || sign.is_ascii_digit()))
    }

    fn path(&mut self) -> Result<Range<usize>, CallError> {
        let start = self.at;
        loop {
            if self.name().is_none() {
                return Err(self.unexpected("a name of the class's path"));
            }
            if !self.take('.') {
                break;
            }
        }
        if self.at - start > PATH_BYTES_MAX {
            let message = format!("a path has {PATH_BYTES_MAX} bytes at most");
            return Err(self.error(start, message));
        }
        Ok(start..self.at)
    }

    /// What stands between the parentheses, and the second of them.
    fn arguments(&mut self, placed: &mut PlacedCall) -> Result<(), CallError> {
        loop {
            self.space();
            if self.take(')') {
                return Ok(());
            }
            let start = self.at;
            if let Some(name) = self.keyword() {
                if placed.call.kwargs.iter().any(|(known, _)| *known == name) {
                    return Err(self.error(start, format!("`{name}` is given twice")));
                }
                self.space();
                let value = self.value(0)?;
                placed.call.kwargs.push((name, value));
                placed.kwargs.push(start..self.at);
            } else {
                let value = self.value(0)?;
                if !placed.call.kwargs.is_empty() {
                    let message = "an argument without a name stands behind one with a name";
                    return Err(self.error(start, message));
                }
                placed.call.args.push(value);
                placed.args.push(start..self.at);
            }
            self.comma(')')?;
        }
    }

    /// A name with its `=`; the reader stays where it is when there is none.
    fn keyword(&mut self) -> Option<String> {
        let start = self.at;
        if let Some(name) = self.name() {
            self.space();
            if self.take('=') {
                return Some(self.part(name).to_owned());
            }
        }
        self.at = start;
        None
    }

    /// A comma, or the end of the list, which is not taken.
    fn comma(&mut self, end: char) -> Result<(), CallError> {
        self.space();
        if self.take(',') || self.peek() == Some(end) {
            return Ok(());
        }
        Err(self.unexpected(&format!("`,` or `{end}`")))
    }

    fn value(&mut self, depth: usize) -> Result<Argument, CallError> {
        self.values += 1;
        if self.values > VALUES_MAX {
            let message = format!("a call has {VALUES_MAX} values at most");
            return Err(self.error(self.at, message));
        }
        if depth > DEPTH_MAX {
            let message = format!("lists and maps are nested {DEPTH_MAX} deep at most");
            return Err(self.error(self.at, message));
        }
        match self.peek() {
            Some('"' | '\'') => self.quoted().map(Argument::Text),
            Some('[') => self.list(depth),
            Some('{') => self.map(depth),
            Some('+' | '-' | '.' | '0'..='9') => self.number(),
            Some(_) | None => self.word(),
        }
    }

    fn word(&mut self) -> Result<Argument, CallError> {
        let start = self.at;
        let Some(name) = self.name() else { return Err(self.unexpected("a value")) };
        let help = match self.part(name.clone()) {
            "None" => return Ok(Argument::None),
            "True" => return Ok(Argument::Bool(true)),
            "False" => return Ok(Argument::Bool(false)),
            "true" => "write `True`",
            "false" => "write `False`",
            "null" | "nil" | "none" => "write `None`",
            _ => "put a text into quotes",
        };
        let message = format!("`{}` is not a value", self.part(name));
        Err(CallError { help: Some(help), ..self.error(start, message) })
    }

    fn list(&mut self, depth: usize) -> Result<Argument, CallError> {
        self.next();
        let mut items = Vec::new();
        loop {
            self.space();
            if self.take(']') {
                return Ok(Argument::List(items));
            }
            items.push(self.value(depth + 1)?);
            self.comma(']')?;
        }
    }

    fn map(&mut self, depth: usize) -> Result<Argument, CallError> {
        self.next();
        let mut entries: Vec<(String, Argument)> = Vec::new();
        loop {
            self.space();
            if self.take('}') {
                return Ok(Argument::Map(entries));
            }
            let start = self.at;
            if !matches!(self.peek(), Some('"' | '\'')) {
                return Err(self.unexpected("a key in quotes"));
            }
            let key = self.quoted()?;
            if entries.iter().any(|(known, _)| *known == key) {
                return Err(self.error(start, "this key stands twice in one map"));
            }
            self.space();
            if !self.take(':') {
                return Err(self.unexpected("`:`"));
            }
            self.space();
            entries.push((key, self.value(depth + 1)?));
            self.comma('}')?;
        }
    }

    fn number(&mut self) -> Result<Argument, CallError> {
        let start = self.at;
        if !self.take('-') {
            self.take('+');
        }
        let whole = self.over(|sign| sign.is_ascii_digit());
        let mut digits = whole.len();
        let mut is_float = false;
        if self.take('.') {
            is_float = true;
            digits += self.over(|sign| sign.is_ascii_digit()).len();
        }
        if digits > 0 && matches!(self.peek(), Some('e' | 'E')) {
            is_float = true;
            self.next();
            self.over(|sign| matches!(sign, '+' | '-'));
            self.over(|sign| sign.is_ascii_digit());
        }
        let rest = self.over(|sign| sign.is_ascii_alphanumeric() || matches!(sign, '_' | '.'));
        let text = self.part(start..self.at);
        let malformed = || self.error(start, format!("`{text}` is not a number"));
        if digits == 0 || !rest.is_empty() {
            return Err(malformed());
        }
        if is_float {
            return match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Argument::Float(number)),
                Ok(_) => Err(self.error(start, format!("`{text}` is too large for a float"))),
                Err(_) => Err(malformed()),
            };
        }
        if whole.len() > 1 && self.part(whole).starts_with('0') {
            let message = format!("`{text}` begins with a zero, which numbers do not");
            return Err(self.error(start, message));
        }
        let too_large = |_| self.error(start, "this number is beyond 128 bits".to_owned());
        text.parse().map(Argument::Integer).map_err(too_large)
    }

    fn quoted(&mut self) -> Result<String, CallError> {
        let start = self.at;
        let quote = self.next();
        let mut text = String::new();
        loop {
            let at = self.at;
            match self.next() {
                None | Some('\n') => {
                    return Err(CallError {
                        at: start..at,
                        message: "this text has no closing quote on its line".to_owned(),
                        help: Some("write a line end inside a text as `\\n`"),
                    });
                }
                Some('\\') => text.push(self.escaped(at)?),
                sign if sign == quote => return Ok(text),
                Some(sign) => text.push(sign),
            }
        }
    }

    /// What follows a backslash, which stands at `start`.
    fn escaped(&mut self, start: usize) -> Result<char, CallError> {
        let digits = match self.next() {
            Some(sign @ ('\\' | '\'' | '"')) => return Ok(sign),
            Some('n') => return Ok('\n'),
            Some('r') => return Ok('\r'),
            Some('t') => return Ok('\t'),
            Some('a') => return Ok('\u{7}'),
            Some('b') => return Ok('\u{8}'),
            Some('f') => return Ok('\u{c}'),
            Some('v') => return Ok('\u{b}'),
            Some('0') if !self.peek().is_some_and(|sign| sign.is_ascii_digit()) => {
                return Ok('\0');
            }
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            Some(_) | None => {
                let message = format!("`{}` is not an escape", self.part(start..self.at));
                let help = Some("write a backslash as `\\\\`");
                return Err(CallError { help, ..self.error(start, message) });
            }
        };
        let from = self.at;
        for _ in 0..digits {
            if self.peek().is_some_and(|sign| sign.is_ascii_hexdigit()) {
                self.next();
            }
        }
        let number = u32::from_str_radix(self.part(from..self.at), 16).ok();
        let complete = number.filter(|_| self.at - from == digits);
        complete.and_then(char::from_u32).ok_or_else(|| {
            let message = format!("`{}` is not a character", self.part(start..self.at));
            self.error(start, message)
        })
    }
}
