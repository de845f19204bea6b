//! Values of settings out of the file, the environment and the flags, with a complaint at the place of
//! each mistake.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use crate::daemon::settings::environment::{Environment, Flags, Places};
use crate::daemon::settings::url::{PasswordSource, Scheme, SecretUrl, UrlError, has_password};
use crate::daemon::settings::{
    REDIS_PREFIX, RedisSettings, Settings, StoreUrl, http, sources, tasks,
};
use crate::diagnostic::{Diagnostic, Place, SourceText, codes, quoted};
use crate::engine::plan::PruneGuard;
use crate::spec::manifest::check::Rules;
use crate::spec::manifest::document::{Document, Format};
use crate::spec::manifest::lower::layer::{Layer, read_zone};
use crate::spec::manifest::lower::site::Site;
use crate::spec::manifest::raw::{Given, RawDefaults};
use crate::spec::manifest::text::text_of;
use crate::spec::manifest::{FILE_BYTES_MAX, Known};
use crate::spec::operation::Operation;
use crate::spec::schema;
use crate::spec::settings::{RawPassword, RawPruneGuard, RawRedis, RawSettings, RawStore};
use crate::time::{ZoneSource, choose_zone_source};

/// The schema of settings, compiled once.
static RULES: LazyLock<Rules> = LazyLock::new(|| match Rules::compile(&schema::settings()) {
    Ok(rules) => rules,
    Err(error) => unreachable!("{error}; a test compiles it"),
});

pub(super) struct Loader<'a> {
    pub(super) places: &'a Places,
    pub(super) out: Vec<Diagnostic>,
}

impl Loader<'_> {
    pub(super) fn read_file(&mut self, bytes: Option<&[u8]>) -> Option<FromFile> {
        let path = self.places.file.as_ref()?;
        let path = path.strip_prefix(&self.places.cwd).unwrap_or(path).display().to_string();
        let Some(bytes) = bytes else {
            let message = format!("there is no settings file {}", quoted(&path));
            self.out.push(Diagnostic::new(codes::NO_SETTINGS_FILE, message).in_file(path));
            return None;
        };
        if bytes.len() > FILE_BYTES_MAX {
            let message = format!("this file has more than the {FILE_BYTES_MAX} bytes of settings");
            self.out.push(Diagnostic::new(codes::FILE_TOO_LARGE, message).in_file(path));
            return None;
        }
        let source = match text_of(&path, bytes) {
            Ok(source) => source,
            Err(diagnostic) => {
                self.out.push(*diagnostic);
                return None;
            }
        };
        let mut document = Document::parse(source, Format::Toml, &RULES);
        let raw = document.decode_root();
        self.out.append(&mut document.diagnostics);
        raw.map(|raw| FromFile { document, raw })
    }

    pub(super) fn settings(
        &mut self,
        file: Option<&FromFile>,
        flags: &Flags,
        environment: &Environment,
    ) -> Option<Settings> {
        let site = file.and_then(FromFile::site);
        // Zones are read for what follows.
        self.zone_source(file);
        let nothing = RawSettings::default();
        let raw = file.map_or(&nothing, |file| &file.raw);
        let defaults = self.defaults(raw, site.as_ref());
        let store = self.store(raw, site.as_ref(), flags, environment);
        let redis = self.redis(raw.redis.as_ref(), site.as_ref(), flags, environment);
        let has_redis = redis.is_some() || raw.redis.is_some();
        let kinit = self.kinit(raw, site.as_ref(), store.as_ref(), has_redis);
        let http = http::read(raw, site.as_ref(), self.places, &mut self.out);
        let listen = self.listen(raw, site.as_ref(), flags, environment);
        let git = sources::read_git(raw, site.as_ref(), flags, environment, &mut self.out);
        let http_allow = tasks::read_http(raw, site.as_ref(), &mut self.out);
        let python = tasks::read_python(raw, site.as_ref(), self.places, &mut self.out);
        let node = raw.node.as_ref().and_then(|node| node.name.clone());
        Some(Settings {
            file: self.places.file.clone(),
            base_dir: self.places.base_dir.clone(),
            state_dir: self.places.state_dir.clone(),
            sources: sources::read(raw, flags, self.places),
            git,
            known: Known {
                defaults: defaults.into(),
                exec_secrets: raw.allow_exec_secrets.unwrap_or(false),
                ..Known::default()
            },
            python,
            http_allow,
            store: store?,
            redis,
            kinit,
            allow_tasks: tasks::read_allowed(raw),
            listen,
            http,
            max_running: raw.max_running,
            on_invalid: raw.on_invalid.unwrap_or_default(),
            self_heal: raw.self_heal.unwrap_or_default(),
            prune_guard: prune_guard(raw.prune_guard.unwrap_or_default()),
            node: node.unwrap_or_else(|| environment.host_name.clone()),
            revision: environment.value("CRONWRIGHT_REVISION").map(str::to_owned),
        })
    }

    /// Puts the zone data in force that the file names; that it cannot be used is said at its place.
    fn zone_source(&mut self, file: Option<&FromFile>) {
        let Some((file, source)) = file.zip(file.and_then(|file| self.zone_source_of(&file.raw)))
        else {
            return;
        };
        if let (Err(error), Some(site)) = (choose_zone_source(&source), file.site()) {
            let diagnostic = site.child("tzdb").diagnostic(codes::BAD_TZDB, error.to_string());
            let help =
                "write `newest`, `system`, `bundled`, or a folder such as `/usr/share/zoneinfo`";
            self.out.push(diagnostic.help(help));
        }
    }

    /// The zone data that a file names; none: nothing was chosen.
    pub(super) fn zone_source_of(&self, raw: &RawSettings) -> Option<ZoneSource> {
        let source = match raw.tzdb.as_deref()? {
            "newest" => ZoneSource::Newest,
            "system" => ZoneSource::System,
            "bundled" => ZoneSource::Bundled,
            folder => ZoneSource::Folder(self.places.base_dir.join(folder)),
        };
        Some(source)
    }

    fn defaults(&mut self, raw: &RawSettings, site: Option<&Site<'_>>) -> Layer {
        let Some(site) = site else { return Layer::default() };
        let zone = raw.timezone.as_ref();
        let zone = zone.and_then(|name| read_zone(name, &site.child("timezone"), &mut self.out));
        let lowest =
            Layer { timezone: zone.map_or(Given::Absent, Given::Value), ..Layer::default() };
        let raw: RawDefaults = raw.job_defaults.clone().unwrap_or_default();
        Layer::read(raw, &site.child("job_defaults"), &mut self.out).over(&lowest)
    }

    fn store(
        &mut self,
        raw: &RawSettings,
        site: Option<&Site<'_>>,
        flags: &Flags,
        environment: &Environment,
    ) -> Option<StoreUrl> {
        let given = flags.store.as_deref().map(|text| Value::of_flag("--store", text));
        if let Some(value) = given.or_else(|| Value::of_variable("CRONWRIGHT_STORE", environment)) {
            let complain = |code, message| value.diagnostic(code, message);
            return self.store_url(value.text, complain, &self.places.cwd, None);
        }
        let Some((raw, site)) = raw.store.as_ref().zip(site) else {
            return Some(StoreUrl::Sqlite(self.places.state_dir.join("cronwright.db")));
        };
        let site = site.child("store");
        let (text, site, password) = match raw {
            RawStore::Url(text) => (text, site, None),
            RawStore::Table(table) => {
                let password = self.password(table.password.as_ref(), &table.url, &site);
                (&table.url, site.child("url"), password)
            }
        };
        let complain = |code, message| site.diagnostic(code, message);
        self.store_url(text, complain, &self.places.base_dir, password)
    }

    fn store_url(
        &mut self,
        text: &str,
        complain: impl Fn(&'static str, String) -> Diagnostic,
        base: &Path,
        password: Option<PasswordSource>,
    ) -> Option<StoreUrl> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || password.is_some() {
                let message = "a store of SQLite is a path without a password".to_owned();
                let help = "write for example `sqlite:.cronwright/cronwright.db`";
                self.out.push(complain(codes::BAD_URL, message).help(help));
                return None;
            }
            return Some(StoreUrl::Sqlite(base.join(path)));
        }
        match SecretUrl::parse(text, Scheme::Mongo, password) {
            Ok(url) => Some(StoreUrl::Mongo(url)),
            Err(error) => {
                let message = format!("this is not the URL of a store: {}", error.message);
                self.out.push(complain(codes::BAD_URL, message).help(error.help));
                None
            }
        }
    }

    fn redis(
        &mut self,
        raw: Option<&RawRedis>,
        site: Option<&Site<'_>>,
        flags: &Flags,
        environment: &Environment,
    ) -> Option<RedisSettings> {
        let events = raw.and_then(|raw| raw.events).unwrap_or(true);
        let prefix = raw.and_then(|raw| raw.prefix.clone());
        let prefix = prefix.unwrap_or_else(|| REDIS_PREFIX.to_owned());
        let producers = raw.and_then(|raw| raw.producers.clone()).unwrap_or_default();
        let allow = raw.and_then(|raw| raw.allow.clone());
        let usual = || Operation::ALL.into_iter().filter(|operation| !operation.declares());
        let allow = allow.map_or_else(|| usual().collect(), |allow| allow.into_iter().collect());
        let given = flags.redis.as_deref().map(|text| Value::of_flag("--redis", text));
        let given = given.or_else(|| Value::of_variable("CRONWRIGHT_REDIS", environment));
        let parsed = if let Some(value) = given {
            let parsed = SecretUrl::parse(value.text, Scheme::Redis, None);
            parsed.map_err(|error| {
                value.diagnostic(codes::BAD_URL, of_redis(&error)).help(error.help)
            })
        } else {
            let (raw, site) = raw.zip(site)?;
            let site = site.child("redis");
            let password = self.password(raw.password.as_ref(), &raw.url, &site);
            let site = site.child("url");
            let parsed = SecretUrl::parse(&raw.url, Scheme::Redis, password);
            parsed
                .map_err(|error| site.diagnostic(codes::BAD_URL, of_redis(&error)).help(error.help))
        };
        match parsed {
            Ok(url) => Some(RedisSettings { url, prefix, producers, allow, events }),
            Err(diagnostic) => {
                self.out.push(diagnostic);
                None
            }
        }
    }

    /// Where a password is kept; that the URL has none too is looked at here, where both places are.
    pub(super) fn password(
        &mut self,
        raw: Option<&RawPassword>,
        url: &str,
        site: &Site<'_>,
    ) -> Option<PasswordSource> {
        let raw = raw?;
        if has_password(url) {
            let diagnostic = site
                .key("password")
                .diagnostic(codes::BAD_PASSWORD_SOURCE, "the URL has a password already")
                .related(site.child("url").place(), "there")
                .help("remove one of the two");
            self.out.push(diagnostic);
            return None;
        }
        let file =
            raw.file.as_ref().map(|file| PasswordSource::File(self.places.base_dir.join(file)));
        file.or_else(|| raw.env.clone().map(PasswordSource::Variable))
    }
}

/// The schema has looked at the bounds.
fn prune_guard(raw: RawPruneGuard) -> PruneGuard {
    let built_in = PruneGuard::default();
    let removals = raw.removals.and_then(|removals| usize::try_from(removals).ok());
    let percent = raw.percent.and_then(|percent| u8::try_from(percent).ok());
    PruneGuard {
        removals: removals.unwrap_or(built_in.removals),
        percent: percent.unwrap_or(built_in.percent),
    }
}

fn of_redis(error: &UrlError) -> String {
    format!("this is not the URL of Redis: {}", error.message)
}

/// A settings file that was read: its tree for places, and its values.
pub(super) struct FromFile {
    document: Document,
    pub(super) raw: RawSettings,
}

impl FromFile {
    fn site(&self) -> Option<Site<'_>> {
        self.document.parsed.documents.first().map(|root| Site::root(&self.document.source, root))
    }
}

/// A value of a flag or variable, as a text to point into.
pub(super) struct Value<'v> {
    pub(super) text: &'v str,
    source: Arc<SourceText>,
}

impl<'v> Value<'v> {
    pub(super) fn of_flag(name: &str, text: &'v str) -> Self {
        Self { text, source: Arc::new(SourceText::new(format!("flag {name}"), text)) }
    }

    pub(super) fn of_variable(name: &str, environment: &'v Environment) -> Option<Self> {
        let text = environment.value(name)?;
        Some(Self { text, source: Arc::new(SourceText::new(format!("variable {name}"), text)) })
    }

    pub(super) fn diagnostic(&self, code: &'static str, message: String) -> Diagnostic {
        Diagnostic::new(code, message).at(Place::new(&self.source, 0, self.text.len()))
    }
}
