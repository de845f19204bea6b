//! Environment variables: names that belong to the program, size, and what looks like a secret.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use crate::diagnostic::{Diagnostic, codes, quoted};
use crate::spec::manifest::lower::site::Site;
use crate::spec::manifest::raw::Given;

/// The most bytes of all variables of a job together, and of one argument of a command: what Linux
/// takes for one text.
pub const TEXT_BYTES_MAX: usize = 131_071;

/// What the daemon itself tells a job begins with this.
pub const OWN_PREFIX: &str = "CRONWRIGHT_";

/// Looks at the variables of one layer; `site` is their map.
pub fn check(env: &BTreeMap<String, Given<String>>, site: &Site<'_>, out: &mut Vec<Diagnostic>) {
    for (name, value) in env {
        if name.starts_with(OWN_PREFIX) {
            let message = format!("{} is a name of the daemon's own", quoted(name));
            let help = "variables that begin with `CRONWRIGHT_` tell the job about its execution";
            out.push(site.key(name).diagnostic(codes::BAD_ENV_NAME, message).help(help));
        }
        if let Given::Value(text) = value
            && looks_secret(name, text)
        {
            let message = format!(
                "{} looks like a secret, and stands here for everyone to read",
                quoted(name)
            );
            let help = "let the job read it from a file that only its user may read";
            out.push(site.key(name).diagnostic(codes::SECRET_LITERAL, message).help(help));
        }
    }
    let bytes = size(env.iter().filter_map(|(name, value)| match value {
        Given::Value(text) => Some((name.as_str(), text.as_str())),
        Given::Absent | Given::Reset => None,
    }));
    if bytes > TEXT_BYTES_MAX {
        let message = format!("these variables are {bytes} bytes, more than {TEXT_BYTES_MAX}");
        out.push(
            site.diagnostic(codes::ENV_TOO_LARGE, message).help("put large values into a file"),
        );
    }
}

/// What variables take in the environment of a process: `NAME=value` and a NUL each.
pub fn size<'e>(env: impl Iterator<Item = (&'e str, &'e str)>) -> usize {
    env.map(|(name, value)| name.len() + value.len() + 2).sum()
}

/// Whether a name says "secret" and the value is one, or the value has the form of a known kind of key.
pub fn looks_secret(name: &str, value: &str) -> bool {
    static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?i)(PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY|CREDENTIALS?)$").ok()
    });
    static VALUE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"^(gh[pousr]_[0-9A-Za-z]{30,}|AKIA[0-9A-Z]{16}|xox[abpr]-|sk-[0-9A-Za-z_-]{20,}|glpat-|-----BEGIN [A-Z ]*PRIVATE KEY)|://[^\s:/@]+:[^\s/@$]+@").ok()
    });
    let is = |pattern: &LazyLock<Option<Regex>>, text: &str| {
        pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
    };
    // A path or a reference is where the secret is, not the secret.
    let points_elsewhere = value.is_empty() || value.starts_with(['/', '.', '$', '~']);
    is(&VALUE, value) || (is(&NAME, name) && !points_elsewhere)
}

#[cfg(test)]
mod tests {
    use super::looks_secret;

    #[test]
    fn secrets_are_told_from_places_of_secrets() {
        for (name, value, expected) in [
            ("PGPASSWORD", "hunter2", true),
            ("api_token", "x", true),
            ("PGPASSWORD", "/run/secrets/pg", false),
            ("PASSWORD_FILE", "secret.txt", false),
            ("TOKEN", "", false),
            ("TOKENS_PER_SECOND", "5", false),
            ("DATABASE_URL", "postgres://u:hunter2@db/x", true),
            ("DATABASE_URL", "postgres://u@db/x", false),
            ("KEY", "AKIAIOSFODNN7EXAMPLE", true),
            ("LANG", "C.UTF-8", false),
        ] {
            assert_eq!(looks_secret(name, value), expected, "{name}={value}");
        }
    }
}
