//! Anything at all, as an expression, a date or a period: it is read, or refused with a place, quickly,
//! and what is told about it can be drawn.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cronwright::diagnostic::render::{Colour, render};
use cronwright::diagnostic::{Diagnostic, Place, SourceText, codes};
use cronwright::spec::trigger::{
    CronExpr, CronTrigger, DayMatch, Dialect, EXPRESSION_BYTES_MAX, parse_date_text,
    parse_period_fields,
};
use cronwright::time::{Timestamp, Zone, parse_duration};

use super::random::{Random, expression};

/// How many texts are tried.
const TEXTS: usize = 20_000;

/// One in so many errors is drawn: drawing is slower than reading.
const DRAWN_OF: u64 = 100;

/// No text takes longer to read, or its first fire time to find.
const TIME_MAX: Duration = Duration::from_millis(1);

/// A text that seems slow is read so often again, since tests share their machine.
const TRIES: usize = 20;

/// Texts from which mutations begin, beside random expressions.
const SEEDS: [&str; 14] = [
    "*/5 9-17 * * mon-fri",
    "0 0 L-3W * ?",
    "0 0 12 ? * FRI#2 2026-2030/2",
    "@daily",
    "@every 5m",
    "2026-01-31 18:30:00",
    "2026-01-31T18:30:00.5+08:00",
    "2026-02-29",
    "* 5 * * *",
    "0 10 * * 1",
    "1h30m",
    "500ms",
    "0 0 1,2,3,4,5,6,7,8,9 */2 jan-dec 0-7",
    "星期一 0 0 * *",
];

/// Signs that mean something somewhere, and signs that should not.
const SIGNS: [char; 36] = [
    '0',
    '1',
    '5',
    '9',
    '*',
    '/',
    '-',
    ',',
    '?',
    'L',
    'W',
    'l',
    'w',
    '#',
    '@',
    ' ',
    '\t',
    ':',
    '.',
    '+',
    'T',
    'Z',
    'm',
    'o',
    'n',
    '\n',
    '\0',
    '\r',
    '\u{7f}',
    '\u{a0}',
    'é',
    '年',
    '\u{ff11}',
    '\u{202e}',
    '\u{1f600}',
    '\u{301}',
];

#[test]
fn anything_at_all_is_read_or_refused() {
    let mut random = Random(2027);
    let (mut read, mut refused, mut drawn) = (0_u64, 0_u64, 0_u64);
    for _ in 0..TEXTS {
        let text = any_text(&mut random);
        for error in errors_of(&text, &mut read) {
            refused += 1;
            assert!(text.get(error.start..error.end).is_some(), "{text:?}: {error:?}");
            assert!(!error.message.is_empty() && !error.message.contains('\n'), "{error:?}");
            if random.one_in(DRAWN_OF) {
                drawn += 1;
                draw(&text, &error);
            }
        }
        is_quick(&text);
    }
    println!("bad input: {TEXTS} texts, read {read} times, refused {refused} times, {drawn} drawn");
    assert!(read > 5_000 && refused > 50_000, "the generator should make both kinds");
}

#[test]
fn long_texts_are_no_slower() {
    let huge = CronExpr::parse(&"1,".repeat(5_000_000), Dialect::Standard).unwrap_err();
    assert_eq!(huge.message, "the expression is longer than 4096 bytes");
    let list = (0..).map(|n| (n % 60).to_string()).take(2_000).collect::<Vec<_>>().join(",");
    let longest = format!("{} * * * *", &list[..EXPRESSION_BYTES_MAX - 9]);
    for text in [longest, "1,".repeat(5_000_000), " ".repeat(1_000_000), "年".repeat(500_000)] {
        is_quick(&text);
        for error in errors_of(&text, &mut 0) {
            assert!(text.get(error.start..error.end).is_some(), "{error:?}");
        }
    }
}

/// An error of any of the readers.
#[derive(Debug)]
struct Wrong {
    start: usize,
    end: usize,
    message: String,
}

/// What every reader finds wrong with a text; counts those that accept it.
fn errors_of(text: &str, read: &mut u64) -> Vec<Wrong> {
    let mut errors = Vec::new();
    for dialect in Dialect::ALL {
        for day_match in DayMatch::ALL {
            match CronExpr::parse_matching(text, dialect, day_match) {
                Ok(expr) => {
                    *read += 1;
                    let again =
                        CronExpr::parse_matching(&expr.to_string(), dialect, expr.day_match());
                    assert_eq!(again.as_ref(), Ok(&expr), "{text:?} as {}", dialect.as_str());
                }
                Err(error) => errors.push(Wrong {
                    start: error.start,
                    end: error.end,
                    message: error.sentence(),
                }),
            }
        }
    }
    match parse_date_text(text, &Zone::utc()) {
        Ok(_) => *read += 1,
        Err(error) => {
            errors.push(Wrong { start: error.start, end: error.end, message: error.message });
        }
    }
    match parse_period_fields(text) {
        Ok(_) => *read += 1,
        Err(error) => {
            errors.push(Wrong { start: error.start, end: error.end, message: error.message });
        }
    }
    if let Err(error) = parse_duration(text) {
        errors.push(Wrong { start: 0, end: text.len(), message: error.to_string() });
    }
    errors
}

/// Draws an error as `next --cron` does.
fn draw(text: &str, error: &Wrong) {
    let source = Arc::new(SourceText::new("--cron", text));
    let place = Place::new(&source, error.start, error.end);
    let diagnostic = Diagnostic::new(codes::BAD_CRON, error.message.clone()).at(place);
    let drawn = render(&diagnostic, Colour::Plain);
    assert!(drawn.starts_with("error[E0301]: "), "{drawn}");
}

/// Reading a text by any of the readers, and finding its first fire time, takes less than [`TIME_MAX`].
fn is_quick(text: &str) {
    let new_york = Zone::load("America/New_York").unwrap();
    for dialect in Dialect::ALL {
        quickest(text, dialect.as_str(), || {
            if let Ok(expr) = CronExpr::parse(text, dialect) {
                let cron = CronTrigger::new(expr, new_york.clone());
                black_box(cron.next_after(Timestamp::UNIX_EPOCH));
            }
        });
    }
    quickest(text, "a date", || drop(black_box(parse_date_text(text, &new_york))));
    quickest(text, "a period", || drop(black_box(parse_period_fields(text))));
}

/// Asserts that reading a text is quick, if not at once, then at one of a few more tries.
fn quickest(text: &str, reader: &str, read: impl Fn()) {
    let once = || {
        #[expect(clippy::disallowed_methods, reason = "the time that it takes is what is tested")]
        let started = Instant::now();
        read();
        started.elapsed()
    };
    let mut found = once();
    for _ in 0..TRIES {
        if found < TIME_MAX {
            return;
        }
        found = found.min(once());
    }
    let shown: String = text.chars().take(200).collect();
    assert!(found < TIME_MAX, "{shown:?} as {reader} takes {found:?}");
}

/// A text: random signs, random bytes, or an expression with a few changes.
fn any_text(random: &mut Random) -> String {
    match random.below(4) {
        0 => {
            let length = random.below(24);
            (0..length).map(|_| *random.pick(&SIGNS)).collect()
        }
        1 => {
            let length = random.below(32);
            let bytes: Vec<u8> = (0..length).map(|_| random.next().to_le_bytes()[0]).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        2 => {
            let seed = *random.pick(&SEEDS);
            mutated(random, seed)
        }
        _ => {
            let dialect = *random.pick(&Dialect::ALL);
            let text = expression(random, dialect);
            mutated(random, &text)
        }
    }
}

/// A text with up to three changes: a sign put in, taken out, exchanged or doubled, or a part repeated.
fn mutated(random: &mut Random, text: &str) -> String {
    let mut signs: Vec<char> = text.chars().collect();
    for _ in 0..random.below(4) {
        let at = usize::try_from(random.below(signs.len() as u64)).unwrap();
        match random.below(5) {
            0 => signs.insert(at, *random.pick(&SIGNS)),
            1 if !signs.is_empty() => drop(signs.remove(at)),
            2 if !signs.is_empty() => signs[at] = *random.pick(&SIGNS),
            3 if !signs.is_empty() => signs.insert(at, signs[at]),
            _ => {
                let part: Vec<char> = signs.iter().skip(at).take(9).copied().collect();
                signs.extend(part);
            }
        }
    }
    signs.into_iter().collect()
}
