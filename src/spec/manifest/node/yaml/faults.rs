//! What is said about YAML that cannot be read, or not with the meaning it would have here.

use serde_yaml::granit_parser::{ErrorKind, ScanError, Tag};

use crate::diagnostic::{codes, quoted};
use crate::spec::manifest::node::{DEPTH_MAX, Entry, Span, SyntaxFault};

/// The value on the line of a syntax error that begins with `*` or `@`, as a fault.
pub(super) fn unquoted(text: &str, at: usize) -> Option<(SyntaxFault, Span)> {
    let at = text.floor_char_boundary(at);
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[start..].lines().next()?;
    let (key, value) = match line.split_once(": ") {
        Some((key, value)) => (key.trim_start_matches(['-', ' ']), value),
        None => ("", line.trim_start().strip_prefix("- ")?),
    };
    let value = value.trim_start();
    let value_start = start + line.len() - value.len();
    let value = value.split(" #").next()?.trim_end();
    let span = Span { start: value_start, end: value_start + value.len() };
    // The closing quote may be there already.
    let bare = value.trim_end_matches(['"', '\'']);
    let example = if key.is_empty() { format!("\"{bare}\"") } else { format!("{key}: \"{bare}\"") };
    let (code, sign, why) = match value.chars().next()? {
        '*' if value.contains([' ', '/']) || value == "*" => {
            (codes::UNQUOTED_STAR, '*', "which YAML reads as an alias")
        }
        '@' => (codes::UNQUOTED_AT, '@', "which YAML reserves"),
        _ => return None,
    };
    let place = Span { start: span.start, end: span.start + 1 };
    let message = format!("this YAML value starts with `{sign}`, {why}");
    Some((SyntaxFault::new(code, place, message).label(format!("quote it: {example}")), span))
}

pub(super) fn syntax_fault(text: &str, error: &ScanError, at: usize) -> SyntaxFault {
    let at = text.floor_char_boundary(at);
    let end =
        text[at..].chars().next().map_or(at, |c| if c == '\n' { at } else { at + c.len_utf8() });
    let span = Span { start: at, end };
    let kind = error.kind();
    if *kind == ErrorKind::RecursionLimitExceeded {
        return too_deep(span);
    }
    let tabs =
        [ErrorKind::TabInBlockIndentation, ErrorKind::TabInIndentation, ErrorKind::TabNotAllowed];
    if tabs.contains(kind) {
        let message = "a tab in the indentation, which YAML does not allow";
        return SyntaxFault::new(codes::TAB_INDENT, span, message).help("indent with spaces");
    }
    if *kind == ErrorKind::MappingValueNotAllowed {
        let message = "this is not YAML: a second `: ` in one line, or a line indented differently from the one above";
        let help = "quote a value that contains `: `; begin the keys of one map in the same column";
        return SyntaxFault::new(codes::YAML_SYNTAX, span, message).help(help);
    }
    SyntaxFault::new(codes::YAML_SYNTAX, span, format!("this is not YAML: {kind}"))
}

pub(super) fn too_deep(span: Span) -> SyntaxFault {
    SyntaxFault::new(codes::TOO_DEEP, span, format!("nested deeper than {DEPTH_MAX} levels"))
}

pub(super) fn duplicate_key(again: &Entry, first: Span) -> SyntaxFault {
    let message = format!("the key {} stands twice in one map", quoted(&again.key));
    SyntaxFault::new(codes::DUPLICATE_KEY, again.key_span, message)
        .label("again here")
        .related(first, "first here")
}

pub(super) fn tag_fault(tag: &Tag, span: Span) -> SyntaxFault {
    let message = format!("the YAML tag {} has no meaning here", quoted(&tag.original()));
    SyntaxFault::new(codes::YAML_TAG, span, message).help("remove the tag")
}
