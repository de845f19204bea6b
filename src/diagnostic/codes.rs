//! Every code of a diagnostic, with the words under which `docs/diagnostics.md` explains it.
//!
//! Ranges: 01 structure, 02 syntax, 03 time and task semantics, 04 requests, 05 sources and plans,
//! 06 settings, 09 deprecated; E for errors, W for warnings. A code is never given a new meaning.

use crate::diagnostic::Severity;

/// A code and its title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// `E0107`.
    pub id: &'static str,
    /// What it is about, as the heading of its explanation.
    pub title: &'static str,
}

macro_rules! codes {
    ($($name:ident = $id:literal, $title:literal;)*) => {
        $(#[doc = $title] pub const $name: &str = $id;)*
        /// Every code, in order.
        pub const ALL: &[Code] = &[$(Code { id: $id, title: $title }),*];
    };
}

codes! {
    WRONG_TYPE = "E0101", "a value of the wrong type";
    MISSING_FIELD = "E0102", "a field that must be given is missing";
    NOT_A_CHOICE = "E0103", "a value that is not one of the choices";
    WRONG_FORM = "E0104", "a text that does not have the form asked for";
    OUT_OF_RANGE = "E0105", "a number or a length out of range";
    UNKNOWN_FIELD = "E0107", "unknown field";
    NOT_YET = "E0108", "a field or value that is not supported yet";
    DUPLICATE_KEY = "E0109", "the same key twice in one map";
    BAD_JOB_NAME = "E0110", "not a job name";
    DUPLICATE_JOB = "E0111", "the same job name twice";
    TASK_KIND = "E0112", "not exactly one kind of task";
    TRIGGER_KIND = "E0113", "not exactly one kind of trigger";
    IDLE_FIELD = "E0114", "a field that does nothing here";
    NO_JOBS = "E0115", "a manifest that declares nothing";
    DEFAULTS_FILE = "E0116", "a file of defaults that cannot be used";
    UNKNOWN_VERSION = "E0117", "a version of the grammar that is not known";
    BAD_PREVIOUS_NAME = "E0118", "a previous name that cannot be one";
    SHARED_PREVIOUS_NAME = "E0119", "two jobs with the same previous name";
    IDLE_PREVIOUS_NAME = "W0101", "a previous name that is declared as a job";
    YAML_SYNTAX = "E0201", "not YAML";
    TOML_SYNTAX = "E0202", "not TOML";
    UNQUOTED_STAR = "E0203", "an unquoted `*`, which YAML reads as an alias";
    UNQUOTED_AT = "E0204", "an unquoted `@`, which YAML reserves";
    NOT_UTF8 = "E0205", "not UTF-8";
    NUL_BYTE = "E0206", "a NUL character";
    FILE_TOO_LARGE = "E0207", "a file over the size limit";
    TOO_DEEP = "E0208", "nested too deeply";
    TOO_MANY_NODES = "E0209", "too many values";
    UNKNOWN_ALIAS = "E0210", "an alias without its anchor";
    YAML_TAG = "E0211", "a YAML tag";
    KEY_NOT_TEXT = "E0212", "a key that is not text";
    TAB_INDENT = "E0213", "a tab in the indentation";
    BAD_MERGE = "E0214", "a merge key whose value is no map";
    NOT_A_MANIFEST = "E0215", "a file whose name says neither YAML, TOML nor JSON";
    LEGACY_SCALAR = "W0201", "a text that older YAML reads as a number or boolean";
    BAD_CRON = "E0301", "not a cron expression";
    NEVER_FIRES = "E0302", "a trigger that can never fire";
    UNKNOWN_ZONE = "E0303", "an unknown time zone";
    BAD_DURATION = "E0304", "not a duration";
    ZERO_DURATION = "E0305", "a duration of zero where none is possible";
    BAD_DATE = "E0306", "not a date and time";
    END_BEFORE_START = "E0307", "an end before its start";
    BAD_SIZE = "E0308", "not a size";
    BAD_WORDS = "E0309", "a command that cannot be split into words";
    EMPTY_TASK = "E0310", "nothing to start";
    BAD_ENV_NAME = "E0311", "not a name of an environment variable";
    ENV_TOO_LARGE = "E0312", "an environment or argument over the limit of the system";
    TEMPLATE = "E0313", "a template that nothing can be filled in for";
    BAD_CALENDAR = "E0314", "a calendar that cannot be used";
    UNKNOWN_CALENDAR = "E0315", "a calendar that nothing declares";
    DUPLICATE_CALENDAR = "E0316", "the same calendar name twice";
    BAD_JITTER = "E0317", "a jitter that is too long";
    BAD_CALL = "E0318", "a class that is not called as it should";
    UNKNOWN_CLASS = "E0319", "a class that is not there";
    BAD_ARGUMENT = "E0320", "an argument that a class does not take";
    BAD_HTTP = "E0321", "an HTTP call that cannot be made";
    BAD_SECRET = "E0322", "a secret without one source";
    BAD_PARAM = "E0323", "a parameter or a value of one that cannot be";
    NO_USER_HERE = "E0331", "a user that this machine does not know";
    NO_PROGRAM_HERE = "E0332", "a program that this machine does not have";
    NO_FOLDER_HERE = "E0333", "a working directory that this machine does not have";
    NO_LIMIT_HERE = "W0331", "a limit that this machine may not hold";
    EITHER_DAY = "W0301", "day and weekday both given: either of them fires";
    SHELL_WORDS = "W0302", "characters for a shell in a command that has none";
    SECRET_LITERAL = "W0303", "what looks like a secret, written out";
    TIMEOUT_OVER_PERIOD = "W0304", "a timeout longer than the interval";
    IN_GAP = "W0305", "a time of day that clocks skip when they go forward";
    UNEVEN_INTERVAL = "W0306", "an interval that does not divide the day";
    CROWDED_SECOND = "W0307", "many jobs that are due at the same second";
    NUMERIC_WEEKDAY = "W0311", "a weekday number that other programs read differently";
    BAD_REQUEST = "E0400", "not a request";
    NOT_ALLOWED = "E0403", "a request for what may not be asked";
    NOT_FOUND = "E0404", "a request about something that is not there";
    UNKNOWN_OPERATION = "E0405", "an operation that is not known";
    TAKEN = "E0409", "a job that is in the way";
    GIVEN_UP = "E0410", "a request that was given up";
    REQUEST_TOO_LARGE = "E0413", "a request that is too large";
    TOO_MANY_REQUESTS = "E0429", "too many executions wait";
    UNAVAILABLE = "E0503", "a daemon that cannot take requests now";
    PLAN_STALE = "E0505", "a plan that is not the plan any more";
    PRUNE_COUNT = "E0506", "another number of removals is held back";
    PINNED = "E0507", "jobs that are pinned";
    NOTHING_TO_GO_BACK_TO = "E0508", "nothing to go back to";
    FILE_UNREADABLE = "E0511", "a file that cannot be read";
    FILE_OVER_LIMIT = "E0512", "a file that is not read because of its size";
    NOT_REGULAR = "E0513", "a manifest that is no regular file";
    OUTSIDE_SOURCE = "E0514", "a link that leads out of its source";
    LINK_LOOP = "E0515", "a link that leads back to itself";
    VANISHED = "E0516", "a file that vanished";
    NAME_NOT_UTF8 = "E0517", "a file name that is not UTF-8";
    WORLD_WRITABLE = "E0518", "a manifest that everybody may write";
    MOVING = "E0519", "a file that is being written all the time";
    NO_ROOM = "E0520", "too many bytes of manifests";
    SOURCE_MISSING = "E0521", "a source that does not exist";
    SOURCE_NOT_FOLDER = "E0522", "a source that is no folder";
    SOURCE_UNREADABLE = "E0523", "a source that cannot be read";
    SOURCE_TOO_LARGE = "E0524", "a source that is too large or too deep";
    SOURCE_UNMOUNTED = "E0526", "a source that looks unmounted";
    LINK_IN_GIT = "E0531", "a link in a commit";
    NOT_FETCHED = "E0532", "a git source that cannot be fetched";
    REF_GONE = "E0533", "a git source without its ref";
    COMMIT_UNSIGNED = "E0534", "a commit without a good signature";
    UNSAFE_FOR_ROOT = "E0535", "a manifest that is not root's alone";
    GROUP_WRITABLE = "W0511", "a manifest that a group may write";
    SOURCE_EMPTY = "W0520", "a source without manifests";
    BAD_URL = "E0601", "not the URL of a store or of Redis";
    BAD_LISTEN = "E0602", "not an address to listen on";
    BAD_PASSWORD_SOURCE = "E0603", "not exactly one source of a password";
    BAD_TZDB = "E0606", "time zone data that cannot be used";
    PATH_TOO_LONG = "E0604", "a path that is too long for a socket";
    BAD_GIT_SOURCE = "E0607", "a git source that cannot be used";
    BAD_ADDRESS = "E0608", "not an address or a network";
    SETTING_NEEDED = "E0609", "a setting without another that it needs";
    UNKNOWN_VARIABLE = "W0601", "an environment variable that is not read";
    NO_SETTINGS_FILE = "E0605", "a settings file that is not there";
}

/// The explanation's heading for a code.
pub fn title(id: &str) -> Option<&'static str> {
    ALL.iter().find(|code| code.id == id).map(|code| code.title)
}

/// How bad it is: its first letter says so.
pub fn severity(id: &str) -> Severity {
    if id.starts_with('W') { Severity::Warning } else { Severity::Error }
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn codes_are_unique_and_well_formed() {
        let mut ids: Vec<_> = ALL.iter().map(|code| code.id).collect();
        assert!(ids.iter().all(|id| id.len() == 5 && (id.starts_with('E') || id.starts_with('W'))));
        ids.sort_unstable();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }
}
