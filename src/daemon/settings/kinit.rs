//! The table `[kinit]`: where kinit keeps its tasks, and where it publishes.

use crate::daemon::settings::StoreUrl;
use crate::daemon::settings::read::Loader;
use crate::daemon::settings::url::{Scheme, SecretUrl};
use crate::diagnostic::codes;
use crate::spec::manifest::lower::layer::read_zone;
use crate::spec::manifest::lower::site::Site;
use crate::spec::settings::{RawKinit, RawSettings};
use crate::time::Zone;

/// What kinit itself has.
const CHANNEL: &str = "kinit_queue";
const TIMEZONE: &str = "Asia/Shanghai";
const JOBS: &str = "scheduler_task_jobs";
const RECORDS: &str = "scheduler_task_record";
const TASKS: &str = "vadmin_system_task";

/// What is spoken with kinit, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct KinitSettings {
    /// The channel of Redis.
    pub channel: String,
    /// Where its local times are meant.
    pub timezone: Zone,
    /// Its `MongoDB`.
    pub url: SecretUrl,
    /// Its database.
    pub database: String,
    /// The collection that says which tasks are active.
    pub jobs: String,
    /// The collection of what has run.
    pub records: String,
    /// The collection of definitions.
    pub tasks: String,
}

impl Loader<'_> {
    /// Reads the table; none: it is not there, says that it does not count, or is wrong.
    pub(super) fn kinit(
        &mut self,
        raw: &RawSettings,
        site: Option<&Site<'_>>,
        store: Option<&StoreUrl>,
        has_redis: bool,
    ) -> Option<KinitSettings> {
        let (raw, root) = raw.kinit.as_ref().zip(site)?;
        if !raw.enabled.unwrap_or(false) {
            return None;
        }
        let site = root.child("kinit");
        if !has_redis {
            let message = "`[kinit]` needs `[redis]`: what kinit publishes comes from there";
            let help = "add `[redis]` with the `url` of the server on which kinit publishes";
            let at = site.key("enabled");
            self.out.push(at.diagnostic(codes::SETTING_NEEDED, message).help(help));
        }
        let timezone = match &raw.timezone {
            Some(name) => read_zone(name, &site.child("timezone"), &mut self.out),
            None => Zone::load(TIMEZONE).ok(),
        };
        let url = self.kinit_url(raw, &site, store);
        let database = url.as_ref().and_then(|url| self.kinit_database(raw, &site, url));
        let or = |given: &Option<String>, built_in: &str| {
            given.clone().unwrap_or_else(|| built_in.to_owned())
        };
        let settings = KinitSettings {
            channel: or(&raw.channel, CHANNEL),
            timezone: timezone?,
            url: url?,
            database: database?,
            jobs: or(&raw.jobs, JOBS),
            records: or(&raw.records, RECORDS),
            tasks: or(&raw.tasks, TASKS),
        };
        self.three_collections(&settings, &site).then_some(settings)
    }

    fn kinit_url(
        &mut self,
        raw: &RawKinit,
        site: &Site<'_>,
        store: Option<&StoreUrl>,
    ) -> Option<SecretUrl> {
        let Some(text) = &raw.url else {
            return match store? {
                StoreUrl::Mongo(url) => Some(url.clone()),
                StoreUrl::Sqlite(_) => {
                    let message = "`[kinit]` needs the MongoDB of kinit, and the store is none";
                    let help =
                        "name it: `url = \"mongodb://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE\"`";
                    let at = site.key("enabled");
                    self.out.push(at.diagnostic(codes::SETTING_NEEDED, message).help(help));
                    None
                }
            };
        };
        let password = self.password(raw.password.as_ref(), text, site);
        match SecretUrl::parse(text, Scheme::Mongo, password) {
            Ok(url) => Some(url),
            Err(error) => {
                let message = format!("this is not the URL of a MongoDB: {}", error.message);
                let help = "write `mongodb://[USER[:PASSWORD]@]HOST[:PORT][,…]/DATABASE`";
                let at = site.child("url");
                self.out.push(at.diagnostic(codes::BAD_URL, message).help(help));
                None
            }
        }
    }

    fn kinit_database(
        &mut self,
        raw: &RawKinit,
        site: &Site<'_>,
        url: &SecretUrl,
    ) -> Option<String> {
        if let Some(name) = &raw.database {
            return Some(name.clone());
        }
        let named = url.database();
        if named.is_none() {
            let message = "`[kinit]` needs the name of kinit's database, and the URL has none";
            let help = "write `database = \"NAME\"`, or name it in the URL after the host";
            let at = site.key("enabled");
            self.out.push(at.diagnostic(codes::SETTING_NEEDED, message).help(help));
        }
        named
    }

    /// One collection for two things would have one of them overwrite the other.
    fn three_collections(&mut self, settings: &KinitSettings, site: &Site<'_>) -> bool {
        let KinitSettings { jobs, records, tasks, .. } = settings;
        if jobs != records && jobs != tasks && records != tasks {
            return true;
        }
        let message = "`jobs`, `records` and `tasks` are three collections, and two are the same";
        let help = "leave them out: the built-in names are kinit's own";
        let at = site.key("enabled");
        self.out.push(at.diagnostic(codes::SETTING_NEEDED, message).help(help));
        false
    }
}
