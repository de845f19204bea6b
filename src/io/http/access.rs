//! Which role may do what, as a table. What the table does not name, only `admin` may.

use crate::spec::operation::Operation;
use crate::spec::settings::Role;

/// What an act over HTTP needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// At least this role.
    Role(Role),
    /// What the operation of the request in the body needs.
    OfOperation,
}

/// Paths that something can be sent to.
const ACTS: [(&str, Need); 4] = [
    ("/api/v1/requests", Need::OfOperation),
    ("/api/v1/sync", Need::Role(Role::Operator)),
    ("/api/v1/sync/rollback", Need::Role(Role::Admin)),
    ("/api/v1/sync/resume", Need::Role(Role::Admin)),
];

/// What it needs to do this at a path. Reading never has an effect, so that everybody with a token may.
pub(super) fn needed(method: &str, path: &str) -> Need {
    if matches!(method, "GET" | "HEAD") {
        return Need::Role(Role::Viewer);
    }
    let known = ACTS.iter().find(|(act, _)| method == "POST" && *act == path);
    known.map_or(Need::Role(Role::Admin), |(_, need)| *need)
}

/// The role that a request with this operation needs; of one that is not known, too.
pub(super) fn needed_for(word: &str) -> Role {
    let operation = Operation::ALL.into_iter().find(|operation| operation.as_str() == word);
    operation.map_or(Role::Admin, role_of)
}

fn role_of(operation: Operation) -> Role {
    match operation {
        Operation::Run
        | Operation::Cancel
        | Operation::Pause
        | Operation::Resume
        | Operation::SkipNext
        | Operation::Has
        | Operation::Get
        | Operation::List
        | Operation::Running
        | Operation::History
        | Operation::Sync
        | Operation::Ping => Role::Operator,
        Operation::Add | Operation::Update | Operation::Remove => Role::Admin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: [Role; 3] = [Role::Viewer, Role::Operator, Role::Admin];

    /// Who of viewer, operator and admin may do it.
    fn who_may(method: &str, path: &str, operation: &str) -> [bool; 3] {
        let needed = match needed(method, path) {
            Need::Role(role) => role,
            Need::OfOperation => needed_for(operation),
        };
        ROLES.map(|role| role >= needed)
    }

    #[test]
    fn each_role_may_what_the_table_says_and_nothing_else() {
        const ALL: [bool; 3] = [true, true, true];
        const OPERATORS: [bool; 3] = [false, true, true];
        const ADMINS: [bool; 3] = [false, false, true];
        for path in ["jobs", "executions/x/output", "sync", "sync/rollback", "requests", "events"] {
            let path = format!("/api/v1/{path}");
            assert_eq!(who_may("GET", &path, "remove"), ALL, "{path}");
            assert_eq!(who_may("HEAD", &path, "remove"), ALL, "{path}");
            for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "get", "TRACE"] {
                assert_eq!(who_may(method, &path, "run"), ADMINS, "{method} {path}");
            }
        }
        let requests = "/api/v1/requests";
        for operation in Operation::ALL {
            let expected = if operation.declares() { ADMINS } else { OPERATORS };
            assert_eq!(who_may("POST", requests, operation.as_str()), expected, "{operation:?}");
        }
        for operation in ["add", "update", "remove", "", "RUN", "run ", "no-such"] {
            assert_eq!(who_may("POST", requests, operation), ADMINS, "{operation}");
        }
        assert_eq!(who_may("POST", "/api/v1/sync", ""), OPERATORS);
        for path in [
            "/api/v1/sync/rollback",
            "/api/v1/sync/resume",
            "/api/v1/sync/",
            "/api/v1//requests",
            "/api/v1/jobs",
            "/",
        ] {
            assert_eq!(who_may("POST", path, "run"), ADMINS, "{path}");
        }
    }
}
