//! Lints about cron expressions that parse and may not mean what their author thinks.

use std::ops::Range;

use crate::diagnostic::{Diagnostic, codes};
use crate::spec::manifest::lower::site::Site;

/// Weekday names by number, Sunday at both ends.
const WEEKDAYS: [&str; 8] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Looks at an expression that parses.
pub fn check(text: &str, site: &Site<'_>, out: &mut Vec<Diagnostic>) {
    let fields = fields(text);
    let (day, weekday) = match fields.as_slice() {
        [_, _, day, _, weekday] | [_, _, _, day, _, weekday] | [_, _, _, day, _, weekday, _] => {
            (day.clone(), weekday.clone())
        }
        _ => return,
    };
    let given = |field: &Range<usize>| !text[field.clone()].starts_with(['*', '?']);
    if given(&day) && given(&weekday) {
        let message = "day and weekday are both given: it fires when either of them matches";
        let help = "write `*` for one of them, unless that is meant";
        let place = site.clone().part(day.start..weekday.end);
        out.push(place.diagnostic(codes::EITHER_DAY, message).help(help));
    }
    if fields.len() > 5
        && given(&weekday)
        && let Some(named) = named_weekdays(&text[weekday.clone()])
    {
        let message = format!("numeric weekday in a {}-field expression", fields.len());
        let label = format!("write `{named}`");
        let help = "numbers are those of crontab here, 1 = Monday; Quartz reads 1 as Sunday, APScheduler as Tuesday";
        let place = site.clone().part(weekday);
        out.push(place.diagnostic(codes::NUMERIC_WEEKDAY, message).label(label).help(help));
    }
}

fn fields(text: &str) -> Vec<Range<usize>> {
    let mut fields = Vec::new();
    let mut start = None;
    for (at, byte) in text.bytes().enumerate().chain([(text.len(), b' ')]) {
        if byte == b' ' || byte == b'\t' {
            fields.extend(start.take().map(|start| start..at));
        } else {
            start = start.or(Some(at));
        }
    }
    fields
}

/// The field with names for its numbers; none when it has no number. What follows `#` and `/` counts.
fn named_weekdays(field: &str) -> Option<String> {
    let mut named = String::new();
    let mut found = false;
    let mut before = ' ';
    for sign in field.chars() {
        let number = sign.to_digit(10).and_then(|digit| WEEKDAYS.get(digit as usize));
        match number {
            Some(name) if !matches!(before, '#' | '/') => {
                named.push_str(name);
                found = true;
            }
            Some(_) | None => named.push(sign),
        }
        before = sign;
    }
    found.then_some(named)
}

#[cfg(test)]
mod tests {
    use super::{fields, named_weekdays};

    #[test]
    fn weekday_numbers_get_names() {
        assert_eq!(named_weekdays("1-5"), Some("mon-fri".to_owned()));
        assert_eq!(named_weekdays("0,6#2/2"), Some("sun,sat#2/2".to_owned()));
        assert_eq!(named_weekdays("mon"), None);
    }

    #[test]
    fn fields_are_found_with_their_places() {
        assert_eq!(fields(" 0  3 *"), [1..2, 4..5, 6..7]);
        assert!(fields("").is_empty());
    }
}
