//! Sizes in bytes as text: `128KiB`, `1MiB`.

use std::fmt;

/// Why a text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// No unit: `4096`.
    #[error("`{0}` has no unit; write for example `{0}B` or `{0}KiB`")]
    NoUnit(String),
    /// Anything that is not a number with a unit.
    #[error("`{0}` is not a size; write for example `128KiB` or `1MiB`")]
    Syntax(String),
    /// More than fits.
    #[error("`{0}` is too large for a size")]
    TooLarge(String),
}

/// Units, largest first: name and bytes.
const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads a size.
///
/// ```
/// use cronwright::spec::size::parse_size;
/// assert_eq!(parse_size("128KiB"), Ok(131_072));
/// assert!(parse_size("128").is_err());
/// ```
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(SizeError::Syntax(text.to_owned()));
    }
    if unit.is_empty() {
        return Err(SizeError::NoUnit(text.to_owned()));
    }
    let (_, unit_bytes) = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(|| SizeError::Syntax(text.to_owned()))?;
    let too_large = || SizeError::TooLarge(text.to_owned());
    let number: u64 = number.parse().map_err(|_| too_large())?;
    number.checked_mul(*unit_bytes).ok_or_else(too_large)
}

/// A size as text in normal form: the largest unit that leaves no fraction.
#[derive(Debug, Clone, Copy)]
pub struct SizeText(pub u64);

impl fmt::Display for SizeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, bytes): &&(&str, u64)| self.0 >= *bytes && self.0.is_multiple_of(*bytes);
        match UNITS.iter().find(fits) {
            Some((unit, bytes)) => write!(f, "{}{unit}", self.0 / bytes),
            None => f.write_str("0B"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written_in_normal_form() {
        for (text, bytes, normal) in [
            ("0B", 0, "0B"),
            ("1B", 1, "1B"),
            ("1024B", 1024, "1KiB"),
            ("128KiB", 131_072, "128KiB"),
            ("1536KiB", 1_572_864, "1536KiB"),
            ("2GiB", 2 << 30, "2GiB"),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
            assert_eq!(SizeText(bytes).to_string(), normal, "{text}");
        }
        for text in ["", "KiB", "1 KiB", "1kib", "-1B", "1.5MiB", "99999999999999999999B"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        assert_eq!(parse_size("10"), Err(SizeError::NoUnit("10".to_owned())));
    }
}
