//! Secrets: from what is written to where their values are.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, codes, quoted};
use crate::spec::manifest::lower::site::Site;
use crate::spec::manifest::raw::{Given, RawSecret, RawSecrets};
use crate::spec::manifest::rules::environment::OWN_PREFIX;
use crate::spec::secret::SecretSource;

/// The secrets of one layer; one with a mistake counts as not written. `site` is their map.
pub fn read(
    raw: RawSecrets,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> BTreeMap<String, Given<SecretSource>> {
    let mut secrets = BTreeMap::new();
    for (name, raw) in raw.0 {
        if name.starts_with(OWN_PREFIX) {
            let message = format!("{} is a name of the daemon's own", quoted(&name));
            let help = "variables that begin with `CRONWRIGHT_` tell the job about its execution";
            out.push(site.key(&name).diagnostic(codes::BAD_ENV_NAME, message).help(help));
        }
        let source = raw.and_then(|raw| read_source(raw, &name, site, out));
        secrets.insert(name, source);
    }
    secrets
}

fn read_source(
    raw: RawSecret,
    name: &str,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<SecretSource> {
    match (raw.env, raw.file, raw.exec) {
        (Some(variable), None, None) => Some(SecretSource::Variable(variable.0)),
        (None, Some(path), None) => Some(SecretSource::File(path)),
        (None, None, Some(argv)) => {
            if argv.first().is_none_or(String::is_empty) {
                let message =
                    "the first word is the program that tells the secret, and it is empty";
                let place = site.child(name).child("exec");
                out.push(place.diagnostic(codes::BAD_SECRET, message));
                return None;
            }
            Some(SecretSource::Program(argv))
        }
        (None, None, None) => {
            let message = format!("{} has no source", quoted(name));
            let help = "write `env: NAME`, `file: PATH` or `exec: [PROGRAM]`; the value itself is never written here";
            out.push(site.key(name).diagnostic(codes::BAD_SECRET, message).help(help));
            None
        }
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
            let message = format!("{} has more than one source", quoted(name));
            out.push(
                site.key(name).diagnostic(codes::BAD_SECRET, message).help("keep one of them"),
            );
            None
        }
    }
}

/// The names that stand in `env` as well: which of the two would hold is nobody's to guess.
pub fn refuse_doubled(
    secrets: &BTreeMap<String, SecretSource>,
    env: &BTreeMap<String, String>,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) {
    for name in secrets.keys().filter(|name| env.contains_key(*name)) {
        let message = format!("{} is in `env` and in `secrets`", quoted(name));
        let help = "remove one of them; `null` takes one that a default gives away";
        let place = site.child("secrets").key(name);
        out.push(place.diagnostic(codes::BAD_SECRET, message).help(help));
    }
}
