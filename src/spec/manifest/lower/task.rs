//! The task of a job: `command` or `script`.

use crate::diagnostic::{Diagnostic, codes};
use crate::spec::manifest::lower::site::Site;
use crate::spec::manifest::lower::templates::{Audience, Sources};
use crate::spec::manifest::raw::RawCommand;
use crate::spec::manifest::rules::environment::TEXT_BYTES_MAX;
use crate::spec::task::template;
use crate::spec::words::split;

/// The most bytes of all arguments together.
pub const ARGUMENTS_BYTES_MAX: usize = 1 << 20;

/// The arguments of a command; `site` is the value of `command`.
pub fn read_command(
    raw: &RawCommand,
    sources: Sources<'_>,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Vec<String>> {
    let argv = match raw {
        RawCommand::Line(text) => split_line(text, sources, site, out)?,
        RawCommand::Argv(argv) => {
            for (at, argument) in argv.iter().enumerate() {
                sources.check(argument, Audience::Host, &site.item(at), out);
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

fn split_line(
    text: &str,
    sources: Sources<'_>,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Vec<String>> {
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
    sources.check(text, Audience::Host, site, out);
    // The `$` of a template is ours.
    let blank = template::expand(text, |found| Some("x".repeat(found.place.len())));
    let words_without = blank.ok().and_then(|blank| split(&blank).ok());
    if let Some(signs) = words_without.and_then(|words| words.shell_signs) {
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
        let help = "the script finds parameters in `$PARAM_NAME`, and all else in variables too";
        out.push(site.clone().part(place).diagnostic(codes::TEMPLATE, message).help(help));
        return None;
    }
    refuse_size(&[text.to_owned()], site, out)
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
