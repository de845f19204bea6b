//! What is said about a fault: code, sentence, the words under the underline, the next act.

use crate::diagnostic::suggest::nearest;
use crate::diagnostic::{codes, quoted};
use crate::spec::manifest::check::{Fault, FaultKind, Kinds, Literal};
use crate::spec::manifest::node::{Node, SyntaxFault, Value};
use crate::spec::manifest::rules::not_yet;
use crate::spec::size::parse_size;
use crate::time::parse_duration;

/// The words for a fault; none when another fault of the same map already says it.
pub fn describe(fault: &Fault<'_>, source: &str) -> Option<SyntaxFault> {
    let span = fault.span();
    let key = fault.key.map_or("", |entry| entry.key.as_str());
    let new = |code, message: String| SyntaxFault::new(code, span, message);
    Some(match &fault.kind {
        FaultKind::Kind(kinds) => wrong_kind(fault, *kinds, source),
        FaultKind::Choice(choices) => wrong_choice(fault, choices),
        FaultKind::Pattern => wrong_form(fault),
        FaultKind::TooShort(1) => new(codes::OUT_OF_RANGE, format!("{} is empty", subject(fault))),
        FaultKind::TooShort(least) => {
            let message = format!("{} is shorter than {least} characters", subject(fault));
            new(codes::OUT_OF_RANGE, message)
        }
        FaultKind::TooLong(most) => {
            let message = format!("{} is longer than {most} characters", subject(fault));
            new(codes::OUT_OF_RANGE, message)
        }
        FaultKind::BelowMinimum(bound) => {
            new(codes::OUT_OF_RANGE, format!("{} must be at least {bound}", subject(fault)))
        }
        FaultKind::AboveMaximum(bound) => {
            new(codes::OUT_OF_RANGE, format!("{} must be at most {bound}", subject(fault)))
        }
        FaultKind::TooFewItems(1) => {
            new(codes::OUT_OF_RANGE, format!("{} is an empty list", subject(fault)))
        }
        FaultKind::TooFewItems(least) => {
            new(codes::OUT_OF_RANGE, format!("{} has fewer than {least} items", subject(fault)))
        }
        FaultKind::TooManyItems(most) => {
            new(codes::OUT_OF_RANGE, format!("{} has more than {most} items", subject(fault)))
        }
        FaultKind::UnknownKey(known) => unknown_key(fault, key, known),
        FaultKind::KeyName => bad_name(fault, key),
        FaultKind::Missing(missing) => {
            new(codes::MISSING_FIELD, format!("the field `{missing}` is missing"))
        }
        FaultKind::ExactlyOne(keys) => return not_exactly_one(fault, keys),
    })
}

/// `` `timeout` `` for a value with a key, else "this".
fn subject(fault: &Fault<'_>) -> String {
    fault.key.map_or_else(|| "this".to_owned(), |entry| quoted(&entry.key))
}

fn wrong_kind(fault: &Fault<'_>, kinds: Kinds, source: &str) -> SyntaxFault {
    let span = fault.span();
    let written = source.get(fault.node.span.start..fault.node.span.end).unwrap_or_default();
    if let (true, Value::Integer(_)) = (kinds.has(Kinds::TEXT), &fault.node.value)
        && let Some(error) = leaf_error(fault.about, written)
    {
        return error_with_help(leaf_code(fault.about), fault, &error);
    }
    if fault.about == "Secret" && kinds.has(Kinds::MAP) {
        // Not repeated: it may be the secret itself.
        let message = format!("{} must say where the secret is, not what it is", subject(fault));
        return SyntaxFault::new(codes::WRONG_TYPE, span, message)
            .help("write `{ env: NAME }` or `{ file: PATH }`");
    }
    let message =
        format!("{} must be {}, not {}", subject(fault), kinds_words(kinds), found(fault.node));
    let new = SyntaxFault::new(codes::WRONG_TYPE, span, message);
    match &fault.node.value {
        Value::Bool(_) | Value::Integer(_) | Value::Float(_) if kinds.has(Kinds::TEXT) => {
            new.help(format!("quote it: \"{written}\""))
        }
        Value::Text(text) if kinds.has(Kinds::BOOLEAN) => match text.to_lowercase().as_str() {
            "yes" | "on" | "y" | "true" => new.help("write `true`"),
            "no" | "off" | "n" | "false" => new.help("write `false`"),
            _ => new,
        },
        Value::Text(text) if kinds.has(Kinds::INTEGER) && text.parse::<i64>().is_ok() => {
            new.help(format!("write it without quotes: {text}"))
        }
        Value::Null => new.label("nothing stands here"),
        Value::Text(_)
        | Value::Bool(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::List(_)
        | Value::Map(_) => new,
    }
}

fn kinds_words(kinds: Kinds) -> String {
    let all = [
        (Kinds::TEXT, "text"),
        (Kinds::LIST, "a list"),
        (Kinds::MAP, "a map"),
        (Kinds::BOOLEAN, "true or false"),
        (Kinds::NUMBER, "a number"),
        (Kinds::INTEGER, "a whole number"),
    ];
    let mut words: Vec<_> =
        all.iter().filter(|(kind, _)| kinds.has(*kind)).map(|(_, word)| *word).collect();
    if kinds.has(Kinds::NUMBER) {
        words.retain(|word| *word != "a whole number");
    }
    words.join(" or ")
}

fn found(node: &Node) -> String {
    match &node.value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(truth) => format!("`{truth}`"),
        Value::Integer(number) => format!("the number `{number}`"),
        Value::Float(number) => format!("the number `{number}`"),
        Value::Text(text) => format!("the text {}", quoted(text)),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a map".to_owned(),
    }
}

/// The value without its kind.
fn bare(node: &Node) -> String {
    let text = found(node);
    let kinds = ["the number ", "the text "];
    kinds.iter().find_map(|kind| text.strip_prefix(kind)).unwrap_or(&text).to_owned()
}

/// What the parser of a leaf says about a text; none when the leaf has none, or takes the text.
fn leaf_error(about: &str, text: &str) -> Option<String> {
    match about {
        "Duration" => parse_duration(text).err().map(|error| error.to_string()),
        "GraceTime" => parse_duration(text).err().map(|error| format!("{error}, or `unlimited`")),
        "Size" => parse_size(text).err().map(|error| error.to_string()),
        _ => None,
    }
}

fn leaf_code(about: &str) -> &'static str {
    if about == "Size" { codes::BAD_SIZE } else { codes::BAD_DURATION }
}

/// A leaf's sentence "X; write Y" as message and help.
fn error_with_help(code: &'static str, fault: &Fault<'_>, error: &str) -> SyntaxFault {
    match error.split_once("; ") {
        Some((message, help)) => SyntaxFault::new(code, fault.span(), message).help(help),
        None => SyntaxFault::new(code, fault.span(), error),
    }
}

fn wrong_form(fault: &Fault<'_>) -> SyntaxFault {
    let text = fault.node.text().unwrap_or_default();
    if let Some(error) = leaf_error(fault.about, text) {
        return error_with_help(leaf_code(fault.about), fault, &error);
    }
    if fault.about == "JobName" {
        let message = format!("{} is not a job name", quoted(text));
        return SyntaxFault::new(codes::BAD_JOB_NAME, fault.span(), message).help(JOB_NAME_HELP);
    }
    let message = format!("{} does not have the form asked for: {}", subject(fault), quoted(text));
    let new = SyntaxFault::new(codes::WRONG_FORM, fault.span(), message);
    match form_help(fault.about) {
        Some(help) => new.help(help),
        None => new,
    }
}

const JOB_NAME_HELP: &str =
    "use 1 to 63 of a-z, 0-9, `.`, `_` and `-`, beginning with a letter or digit";

/// The form of a text, in words.
fn form_help(about: &str) -> Option<&'static str> {
    Some(match about {
        "Group" => {
            "use 1 to 63 of A-Z, a-z, 0-9, `.`, `_`, `-` and `/`, beginning with a letter or digit"
        }
        "Tag" => JOB_NAME_HELP,
        "Line" => "write one line, without control characters",
        "WebAddress" => "write for example `https://wiki.example.com/runbooks/etl`",
        _ => return None,
    })
}

fn wrong_choice(fault: &Fault<'_>, choices: &[&Literal]) -> SyntaxFault {
    let text = fault.node.text().unwrap_or_default();
    if fault.about == "Version" {
        let message = format!("version {} of the grammar is not known", bare(fault.node));
        return SyntaxFault::new(codes::UNKNOWN_VERSION, fault.span(), message)
            .help("this program reads version 1");
    }
    let message = format!("{} cannot be {}", subject(fault), bare(fault.node));
    let new =
        SyntaxFault::new(codes::NOT_A_CHOICE, fault.span(), message).help(choice_words(choices));
    let words = choices.iter().filter_map(|choice| match choice {
        Literal::Text(word) => Some(word.as_str()),
        Literal::Integer(_) | Literal::Bool(_) | Literal::Null => None,
    });
    match nearest(text, words) {
        Some(word) => new.label(format!("did you mean `{word}`?")),
        None => new,
    }
}

fn choice_words(choices: &[&Literal]) -> String {
    let words: Vec<_> = choices
        .iter()
        .map(|choice| match choice {
            Literal::Text(word) => format!("`{word}`"),
            Literal::Integer(number) => format!("`{number}`"),
            Literal::Bool(truth) => format!("`{truth}`"),
            Literal::Null => "`null`".to_owned(),
        })
        .collect();
    format!("write {}", words.join(" or "))
}

fn unknown_key(fault: &Fault<'_>, key: &str, known: &[&str]) -> SyntaxFault {
    if not_yet::is_key(fault.about, key) {
        return SyntaxFault::new(
            codes::NOT_YET,
            fault.span(),
            format!("{} is not supported yet", quoted(key)),
        )
        .help("remove it: a key that did nothing would mislead");
    }
    let new = SyntaxFault::new(
        codes::UNKNOWN_FIELD,
        fault.span(),
        format!("unknown field {}", quoted(key)),
    );
    if let Some(label) = not_yet::misplaced(fault.about, key) {
        return new.label(label);
    }
    let Some(word) = nearest(key, known.iter().copied()) else {
        let known: Vec<_> = known.iter().map(|key| format!("`{key}`")).collect();
        return new.help(format!("known here: {}", known.join(", ")));
    };
    let new = new.label(format!("did you mean `{word}`?"));
    if fault.about == "Job" && ["command", "script"].contains(&word) {
        new.help("a job has exactly one of `command` and `script`")
    } else {
        new
    }
}

fn bad_name(fault: &Fault<'_>, key: &str) -> SyntaxFault {
    match fault.about {
        "Jobs" => {
            let message = format!("{} is not a job name", quoted(key));
            SyntaxFault::new(codes::BAD_JOB_NAME, fault.span(), message).help(JOB_NAME_HELP)
        }
        "Env" => {
            let message = format!("{} is not a name of an environment variable", quoted(key));
            SyntaxFault::new(codes::BAD_ENV_NAME, fault.span(), message)
                .help("use up to 255 letters, digits and `_`, not beginning with a digit")
        }
        _ => SyntaxFault::new(
            codes::WRONG_FORM,
            fault.span(),
            format!("{} cannot be a key here", quoted(key)),
        ),
    }
}

/// None, or several, of the keys that name a kind. Silent when a key to come, or a misspelt one, is
/// the reason: that is reported at the key.
fn not_exactly_one(fault: &Fault<'_>, keys: &[String]) -> Option<SyntaxFault> {
    let present: Vec<_> =
        fault.node.entries().iter().filter(|entry| keys.contains(&entry.key)).collect();
    let slip =
        |key: &str| nearest(key, keys.iter().map(String::as_str)).is_some_and(|word| word != key);
    if present.is_empty() && fault.node.entries().iter().any(|entry| slip(&entry.key)) {
        return None;
    }
    let all: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
    let (code, noun) = match fault.about {
        "Trigger" => (codes::TRIGGER_KIND, "trigger"),
        "Job" => (codes::TASK_KIND, "task"),
        _ => (codes::BAD_PASSWORD_SOURCE, "source"),
    };
    let help = format!("give exactly one of {}", all.join(", "));
    let Some((first, second)) = present.first().zip(present.get(1)) else {
        let of = fault.key.filter(|_| fault.about == "Job");
        let message = match of {
            Some(entry) => format!("job {} has no {noun}", quoted(&entry.key)),
            None => format!("no {noun} is given here"),
        };
        return Some(SyntaxFault::new(code, fault.span(), message).help(help));
    };
    let message = format!("two kinds of {noun}: `{}` and `{}`", first.key, second.key);
    let new = SyntaxFault::new(code, second.key_span, message).help(help);
    Some(new.label("the second").related(first.key_span, "the first"))
}
