//! What people read when an expression, a date or a period is wrong: whole messages, and the place.

use cronwright::spec::trigger::{
    CronExpr, Dialect, IntervalTrigger, parse_date_text, parse_period_fields,
};
use cronwright::time::{Zone, parse_duration};

/// The text with its wrong part underlined, the message, and the help.
fn drawn(text: &str, start: usize, end: usize, message: &str, help: Option<&str>) -> String {
    let before = text[..start].chars().count();
    let carets = "^".repeat(text[start..end].chars().count().max(1));
    let help = help.map(|help| format!("\nhelp: {help}")).unwrap_or_default();
    format!("{text}\n{}{carets} {message}{help}", " ".repeat(before))
}

/// Each block of a file: the expression, its wrong part underlined with the message, the help.
#[track_caller]
fn check(dialect: Dialect, expected: &str) {
    for block in expected.trim().split("\n\n") {
        let block = block.trim_start_matches('\n');
        let text = block.lines().next().unwrap();
        let Err(error) = CronExpr::parse(text, dialect) else { panic!("{text} is accepted") };
        let found = drawn(text, error.start, error.end, &error.message, error.help.as_deref());
        assert_eq!(found, block);
    }
}
#[test]
fn standard_expressions() {
    check(Dialect::Standard, include_str!("errors/standard.txt"));
}

#[test]
fn crontab_expressions() {
    check(Dialect::Crontab, include_str!("errors/crontab.txt"));
}

#[test]
fn quartz_expressions() {
    check(Dialect::Quartz, include_str!("errors/quartz.txt"));
}

#[test]
fn apscheduler_expressions() {
    check(Dialect::Apscheduler, include_str!("errors/apscheduler.txt"));
}

/// One line per text: what is wrong with it, and where.
#[track_caller]
fn check_lines<T: std::fmt::Debug, E>(
    table: &[(&str, &str)],
    parse: impl Fn(&str) -> Result<T, E>,
    place: impl Fn(E) -> (usize, usize, String),
) {
    for (text, expected) in table {
        let Err(error) = parse(text) else { panic!("{text} is accepted") };
        let (start, end, message) = place(error);
        assert_eq!(format!("{} | {message}", &text[start..end]), *expected, "{text}");
    }
}

#[test]
fn dates() {
    const HELP: &str =
        "is not a date; write for example `2026-01-31 18:30:00` or `2026-01-31T18:30:00+08:00`";
    let syntax = |text: &str| format!("{text} | `{text}` {HELP}");
    for text in
        ["tomorrow", "2026-01-31T18:30", "2026-1", "2026-01-31 18:30:00 UTC", "", "二〇二六"]
    {
        let error = parse_date_text(text, &Zone::utc()).unwrap_err();
        assert_eq!(format!("{} | {}", &text[error.start..error.end], error.message), syntax(text));
    }
    check_lines(
        &[
            ("2026-02-29", "2026-02-29 | there is no date `2026-02-29`"),
            ("0000-01-01 00:00:00", "0000-01-01 | there is no date `0000-01-01`"),
            ("2026-01-31 24:00:00", "24:00:00 | there is no time `24:00:00`"),
            ("2026-01-31T23:59:60Z", "23:59:60 | there is no time `23:59:60`"),
            ("2026-01-31T18:30:00+24:00", "+24:00 | there is no offset `+24:00`"),
        ],
        |text| parse_date_text(text, &Zone::utc()),
        |error| (error.start, error.end, error.message),
    );
}

#[test]
fn periods() {
    check_lines(
        &[
            ("5 * * *", "5 * * * | a period has 5 fields, seconds minutes hours days weeks; not 4"),
            ("* -5 * * *", "-5 | `-5` is not a number of minutes"),
            ("*  * 1h * *", "1h | `1h` is not a number of hours"),
            ("* * * * *", "* * * * * | a period of zero never moves on"),
            (
                "* * * * 99999999999999999999",
                "99999999999999999999 | `99999999999999999999` weeks are too many",
            ),
        ],
        parse_period_fields,
        |error| (error.start, error.end, error.message),
    );
    let every = |text: &str| IntervalTrigger::new(parse_duration(text).unwrap(), Zone::utc());
    assert_eq!(
        every("500ms").unwrap_err().to_string(),
        "a period of 500ms is too short; the shortest is 1s"
    );
    let odd = std::time::Duration::new(1, 500);
    assert_eq!(
        IntervalTrigger::new(odd, Zone::utc()).unwrap_err().to_string(),
        "a period is a whole number of milliseconds"
    );
}
