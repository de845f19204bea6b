//! The task of a job: `command` or `script`.

use crate::diagnostic::{Diagnostic, codes};
use crate::spec::manifest::lower::site::Site;
use crate::spec::manifest::raw::RawCommand;
use crate::spec::manifest::rules::environment::TEXT_BYTES_MAX;
use crate::spec::task::template;
use crate::spec::words::split;

/// The most bytes of all arguments together.
pub const ARGUMENTS_BYTES_MAX: usize = 1 << 20;

/// The arguments of a command; `site` is the value of `command`.
pub fn read_command(
    raw: &RawCommand,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Vec<String>> {
    let argv = match raw {
        RawCommand::Line(text) => split_line(text, site, out)?,
        RawCommand::Argv(argv) => {
            for (at, argument) in argv.iter().enumerate() {
                refuse_template(argument, &site.item(at), out);
            }
            argv.clone()
        }
    };
    if argv.first().is_none_or(String::is_empty) {
        let message = "the first word of a command is the program, and there is none";
        out.push(site.diagnostic(codes::EMPTY_TASK, message));
        return None;
    }
    refuse_size(&argv, site, out)?;
    Some(argv)
}

fn split_line(text: &str, site: &Site<'_>, out: &mut Vec<Diagnostic>) -> Option<Vec<String>> {
    let words = match split(text) {
        Ok(words) => words,
        Err(error) => {
            let place = site.clone().part(error.at);
            out.push(place.diagnostic(
                codes::BAD_WORDS,
                format!("cannot split this command: {}", error.message),
            ));
            return None;
        }
    };
    if refuse_template(text, site, out) {
        return None;
    }
    if let Some(signs) = words.shell_signs {
        let sign = text.get(signs.clone()).unwrap_or_default();
        let message = format!("`{sign}` means nothing here: a command is started without a shell");
        let help = "use `script` for a shell, or quote it for the program itself";
        out.push(site.clone().part(signs).diagnostic(codes::SHELL_WORDS, message).help(help));
    }
    Some(words.argv)
}

/// A script that can be started; `site` is the value of `script`.
pub fn check_script(text: &str, site: &Site<'_>, out: &mut Vec<Diagnostic>) -> Option<()> {
    if text.trim().is_empty() {
        out.push(site.diagnostic(codes::EMPTY_TASK, "this script is empty"));
        return None;
    }
    if let Some(place) = template::find(text) {
        let message = "templates are not expanded in a script";
        out.push(site.clone().part(place).diagnostic(codes::TEMPLATE, message));
        return None;
    }
    refuse_size(&[text.to_owned()], site, out)
}

/// Refuses templates where none are filled in; whether there is one.
pub(super) fn refuse_template(text: &str, site: &Site<'_>, out: &mut Vec<Diagnostic>) -> bool {
    let Some(place) = template::find(text) else { return false };
    let message = "templates are not supported yet";
    let help = "quoting does not help: the program would receive the text as it stands";
    out.push(site.clone().part(place).diagnostic(codes::TEMPLATE, message).help(help));
    true
}

fn refuse_size(argv: &[String], site: &Site<'_>, out: &mut Vec<Diagnostic>) -> Option<()> {
    let longest = argv.iter().map(String::len).max().unwrap_or(0);
    let all: usize = argv.iter().map(|argument| argument.len() + 1).sum();
    let message = if longest > TEXT_BYTES_MAX {
        format!("one argument is {longest} bytes, more than {TEXT_BYTES_MAX}")
    } else if all > ARGUMENTS_BYTES_MAX {
        format!("the arguments are {all} bytes, more than {ARGUMENTS_BYTES_MAX}")
    } else {
        return Some(());
    };
    out.push(
        site.diagnostic(codes::ENV_TOO_LARGE, message).help("put it into a file, and start that"),
    );
    None
}
