//! Plain scalars of YAML: what they are to us (core schema 1.2), and whether a reader of YAML 1.1
//! would see something else in them.

use crate::spec::manifest::node::Value;

/// The value of a plain scalar.
pub fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).unwrap_or_else(|| Value::Text(text.to_owned())),
    }
}

/// A number of the core schema; none when it is text, as also `012` is.
fn number(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let plain = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
            return plain.then(|| i64::from_str_radix(digits, radix).ok().map(Value::Integer))?;
        }
    }
    if leading_zero(unsigned) {
        return None;
    }
    if unsigned.bytes().all(|b| b.is_ascii_digit()) {
        let whole = text.parse().ok().map(Value::Integer);
        return whole.or_else(|| text.parse().ok().map(Value::Float));
    }
    if let ".inf" | ".Inf" | ".INF" = unsigned {
        let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
        return Some(Value::Float(f64::INFINITY * sign));
    }
    if let ".nan" | ".NaN" | ".NAN" = text {
        return Some(Value::Float(f64::NAN));
    }
    let float_letters = |b: u8| b.is_ascii_digit() || b"+-.eE".contains(&b);
    if !unsigned.bytes().all(float_letters) || !unsigned.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().map(Value::Float)
}

/// `012`, but not `0`, `0.5` or `0e1`.
fn leading_zero(unsigned: &str) -> bool {
    let mut bytes = unsigned.bytes();
    bytes.next() == Some(b'0') && bytes.next().is_some_and(|b| b.is_ascii_digit())
}

/// What a reader of YAML 1.1 sees in a plain scalar that is text to us.
pub fn legacy_reading(text: &str) -> Option<&'static str> {
    const WORDS: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "true", "false"];
    let first = text.bytes().next()?;
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if first.is_ascii_alphabetic() {
        let cased = text.chars().skip(1).all(|c| c.is_ascii_lowercase())
            || text.chars().all(|c| c.is_ascii_uppercase());
        return (cased && WORDS.contains(&text.to_ascii_lowercase().as_str()))
            .then_some("a boolean");
    }
    let digits = unsigned.strip_prefix("0b").map_or(unsigned, |binary| binary);
    let number = unsigned.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || b"_.:".contains(&b))
        && digits.bytes().filter(|b| *b == b'.').count() <= 1
        && sexagesimal(digits);
    number.then_some("a number")
}

/// Groups after a `:` count to 59, as in `1:30:00`; text without `:` passes.
fn sexagesimal(text: &str) -> bool {
    text.split(':').skip(1).all(|group| {
        let whole = group.split('.').next().unwrap_or_default();
        matches!(whole.len(), 1 | 2) && whole.parse::<u8>().is_ok_and(|count| count < 60)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_those_of_yaml_1_2() {
        let text = |text: &str| Value::Text(text.to_owned());
        for (written, expected) in [
            ("", Value::Null),
            ("~", Value::Null),
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("FALSE", Value::Bool(false)),
            ("0", Value::Integer(0)),
            ("-12", Value::Integer(-12)),
            ("+7", Value::Integer(7)),
            ("0x1F", Value::Integer(31)),
            ("0o14", Value::Integer(12)),
            ("0.5", Value::Float(0.5)),
            ("1e3", Value::Float(1000.0)),
            (".5", Value::Float(0.5)),
            ("-.inf", Value::Float(f64::NEG_INFINITY)),
            ("99999999999999999999", Value::Float(1e20)),
            ("012", text("012")),
            ("1_000", text("1_000")),
            ("no", text("no")),
            ("on", text("on")),
            ("0b1", text("0b1")),
            ("03:00", text("03:00")),
            ("1h30m", text("1h30m")),
            ("2026-01-01", text("2026-01-01")),
            ("inf", text("inf")),
            (".", text(".")),
            ("-", text("-")),
            ("1.2.3", text("1.2.3")),
            ("0x", text("0x")),
        ] {
            assert_eq!(resolve(written), expected, "{written}");
        }
    }

    #[test]
    fn what_yaml_1_1_reads_differently_is_known() {
        for (written, expected) in [
            ("no", Some("a boolean")),
            ("Yes", Some("a boolean")),
            ("OFF", Some("a boolean")),
            ("yEs", None),
            ("012", Some("a number")),
            ("1_000", Some("a number")),
            ("0b101", Some("a number")),
            ("1:30", Some("a number")),
            ("03:00", Some("a number")),
            ("1:75", None),
            ("2026-01-01", None),
            ("1h30m", None),
            ("1.2.3", None),
            ("node", None),
            ("", None),
        ] {
            assert_eq!(legacy_reading(written), expected, "{written}");
        }
    }
}
