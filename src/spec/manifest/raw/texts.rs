//! Texts of a form of their own. The schema knows the form; what the text means is read when lowering.

use schemars::JsonSchema;
use serde::Deserialize;

macro_rules! texts {
    ($($(#[$meta:meta])* $name:ident;)*) => {
        $(#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
        $(#[$meta])*
        pub struct $name(pub String);)*
    };
}

texts! {
    /// A duration with its unit: w, d, h, m, s or ms, the largest first.
    #[schemars(rename = "Duration", extend("pattern" = "^([0-9]+(w|d|h|m|s|ms))+$"))]
    #[schemars(example = "90s", example = "1h30m", example = "7d")]
    RawDuration;
    /// A duration, or `unlimited`.
    #[schemars(rename = "GraceTime", extend("pattern" = "^(unlimited|([0-9]+(w|d|h|m|s|ms))+)$"))]
    #[schemars(example = "6h", example = &"unlimited")]
    RawGraceTime;
    /// A size with its unit: B, KiB, MiB or GiB.
    #[schemars(rename = "Size", extend("pattern" = "^[0-9]+(B|KiB|MiB|GiB)$"))]
    #[schemars(example = "128KiB", example = "1MiB")]
    RawSize;
    /// The name of an environment variable.
    #[schemars(rename = "Variable", extend("pattern" = "^[A-Za-z_][A-Za-z0-9_]{0,254}$"))]
    #[schemars(example = &"HTTP_PROXY")]
    RawVariable;
    /// A user, or a user and a group: names, or numbers in their place.
    #[schemars(rename = "User", extend("pattern" = "^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}(:[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63})?$"))]
    #[schemars(example = &"etl", example = &"etl:etl")]
    RawUser;
    /// A file mode creation mask: three octal digits.
    #[schemars(rename = "Umask", extend("pattern" = "^0?[0-7]{3}$"))]
    #[schemars(example = &"027")]
    RawUmask;
    /// A date, or date and time: local time of the trigger's zone unless it ends with `Z` or an offset.
    #[schemars(rename = "Date")]
    #[schemars(example = "2026-03-01T09:00:00", example = "2026-03-01", example = "2026-03-01T09:00:00+08:00")]
    RawDate;
    /// A day, or the days from one to another, both included.
    #[schemars(rename = "Days", extend("pattern" = "^[0-9]{4}-[0-9]{2}-[0-9]{2}([.][.][0-9]{4}-[0-9]{2}-[0-9]{2})?$"))]
    #[schemars(example = "2026-01-01", example = "2026-02-15..2026-02-23")]
    RawDays;
    /// An IANA time zone name.
    #[schemars(rename = "Zone", extend("minLength" = 1))]
    #[schemars(example = "Asia/Shanghai", example = &"UTC")]
    RawZone;
    /// The one group of a job: letters, digits and `._-`, levels parted by `/`; 63 bytes at most.
    #[schemars(rename = "Group", extend("pattern" = "^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$"))]
    #[schemars(example = &"etl", example = &"finance/reports")]
    RawGroup;
    /// A tag: a-z, 0-9, `.`, `_` and `-`, beginning with a letter or digit; 63 bytes at most.
    #[schemars(rename = "Tag", extend("pattern" = "^[a-z0-9][a-z0-9._-]{0,62}$"))]
    #[schemars(example = &"nightly", example = &"tier-1")]
    RawTag;
    /// The name of a job: a-z, 0-9, `.`, `_` and `-`, beginning with a letter or digit; 63 bytes at most.
    #[schemars(rename = "JobName", extend("pattern" = "^[a-z0-9][a-z0-9._-]{0,62}$"))]
    #[schemars(example = &"etl-nightly")]
    RawJobName;
    /// One line of text, of 256 characters at most.
    #[schemars(rename = "Line", extend("pattern" = "^[^\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]*$", "minLength" = 1, "maxLength" = 256))]
    #[schemars(example = &"data-platform@example.com")]
    RawLine;
    /// An address on the web, of 256 characters at most.
    #[schemars(rename = "WebAddress", extend("pattern" = "^https?://[^\\x00-\\x20\\x7f-\\x9f\\u2028\\u2029]+$", "maxLength" = 256))]
    #[schemars(example = &"https://wiki.example.com/runbooks/etl")]
    RawWebAddress;
}
