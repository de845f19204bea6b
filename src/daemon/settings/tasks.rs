//! What the settings say about tasks that need more than a program: classes and HTTP calls.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::daemon::settings::environment::Places;
use crate::diagnostic::{Diagnostic, codes, quoted};
use crate::io::executor::python::{Keep, Python};
use crate::spec::manifest::lower::site::Site;
use crate::spec::settings::{RawPython, RawSettings};
use crate::spec::size::parse_size;
use crate::spec::task::TaskKind;

/// The interpreter of classes where none is named.
const PYTHON: &str = "python3";
/// How much memory a process may have that is kept for further calls, where nothing is said.
const MEMORY_BYTES_MAX: u64 = 512 << 20;

/// The kinds of task that a job may have that no file declares.
pub(super) fn read_allowed(raw: &RawSettings) -> BTreeSet<TaskKind> {
    let said = raw.requests.as_ref().and_then(|raw| raw.allow_tasks.clone());
    said.map_or_else(|| BTreeSet::from([TaskKind::Class]), |kinds| kinds.into_iter().collect())
}

/// Where classes are found, when the settings say that there are some.
pub(super) fn read_python(
    raw: &RawSettings,
    site: Option<&Site<'_>>,
    places: &Places,
    out: &mut Vec<Diagnostic>,
) -> Option<Python> {
    let raw = raw.python.as_ref()?;
    let interpreter = raw.interpreter.as_deref().unwrap_or(PYTHON);
    let memory_bytes_max = read_memory(raw, site, out);
    // A name alone is looked up in the PATH.
    let interpreter = if interpreter.contains('/') {
        places.base_dir.join(interpreter)
    } else {
        PathBuf::from(interpreter)
    };
    let everything = || vec!["*".to_owned()];
    Some(Python {
        interpreter,
        root: places.base_dir.join(&raw.root),
        allow: raw.allow.clone().unwrap_or_else(everything),
        keep: raw.reuse.unwrap_or(true).then_some(Keep { memory_bytes_max }),
    })
}

fn read_memory(raw: &RawPython, site: Option<&Site<'_>>, out: &mut Vec<Diagnostic>) -> u64 {
    let Some((text, site)) = raw.memory.as_ref().zip(site) else { return MEMORY_BYTES_MAX };
    parse_size(&text.0).unwrap_or_else(|error| {
        let site = site.child("python").child("memory");
        out.push(site.diagnostic(codes::BAD_SIZE, error.to_string()));
        MEMORY_BYTES_MAX
    })
}

/// The addresses that HTTP tasks may call although the machine keeps them to itself.
pub(super) fn read_http(
    raw: &RawSettings,
    site: Option<&Site<'_>>,
    out: &mut Vec<Diagnostic>,
) -> Vec<IpNet> {
    let Some((raw, site)) = raw.http_tasks.as_ref().zip(site) else { return Vec::new() };
    let site = site.child("http_tasks").child("allow_addresses");
    let mut allow = Vec::new();
    for (index, text) in raw.allow_addresses.iter().enumerate() {
        let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        if let Ok(net) = net {
            allow.push(net);
        } else {
            let message = format!("{} is neither an address nor a network", quoted(text));
            let help = "write for example `127.0.0.1` or `10.0.0.0/8`";
            out.push(site.item(index).diagnostic(codes::BAD_ADDRESS, message).help(help));
        }
    }
    allow
}
