//! Users and groups that jobs name (`user`), looked up when an attempt starts. Whoever answers may be asked over the
//! network: not to be called where nothing may wait.

use std::collections::BTreeMap;

use nix::unistd::{Gid, Group, Uid, User, geteuid, getgrouplist};

use crate::supervisor::protocol::RunAs;

/// Why an attempt cannot run as the user that its job names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// There is no such user.
    #[error("there is no user `{0}` on this machine")]
    NoUser(String),
    /// There is no such group.
    #[error("there is no group `{0}` on this machine")]
    NoGroup(String),
    /// A number that names nobody needs a group.
    #[error("nobody on this machine has the number {0}: name its group too (`user: {0}:GROUP`)")]
    NoGroupNamed(u32),
    /// They could not be looked up.
    #[error("the user `{name}` cannot be looked up: {why}")]
    Unanswered {
        /// User or group.
        name: String,
        /// Why.
        why: String,
    },
    /// Only root may become somebody else.
    #[error("the daemon is not root, and only root may start a process as `{0}`")]
    NotRoot(String),
}

/// Who a process is, and what it is told of that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// For the supervisor; none: it is the daemon's own user.
    pub run_as: Option<RunAs>,
    /// HOME, USER, LOGNAME and SHELL, where they are known.
    pub variables: BTreeMap<String, String>,
}

/// Looks up `NAME`, `NAME:GROUP`, or numbers in their place.
pub fn find(text: &str) -> Result<Account, UserError> {
    let (name, group) = match text.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (text, None),
    };
    let (uid, entry) = user(name)?;
    let gid = match (group, &entry) {
        (Some(group), _) => group_of(group)?,
        (None, Some(entry)) => entry.gid,
        (None, None) => return Err(UserError::NoGroupNamed(uid.as_raw())),
    };
    let groups = match &entry {
        Some(entry) => groups_of(entry, gid)?,
        None => vec![gid],
    };
    let run_as = RunAs {
        uid: uid.as_raw(),
        gid: gid.as_raw(),
        groups: groups.into_iter().map(Gid::as_raw).collect(),
    };
    let is_own = geteuid() == uid && nix::unistd::getegid() == gid;
    if !geteuid().is_root() && !is_own {
        return Err(UserError::NotRoot(text.to_owned()));
    }
    let run_as = geteuid().is_root().then_some(run_as);
    Ok(Account { run_as, variables: entry.as_ref().map(variables_of).unwrap_or_default() })
}

fn user(name: &str) -> Result<(Uid, Option<User>), UserError> {
    let unanswered = |why: nix::Error| UserError::Unanswered {
        name: name.to_owned(),
        why: why.desc().to_owned(),
    };
    if let Some(entry) = User::from_name(name).map_err(unanswered)? {
        return Ok((entry.uid, Some(entry)));
    }
    let uid: u32 = name.parse().map_err(|_| UserError::NoUser(name.to_owned()))?;
    let uid = Uid::from_raw(uid);
    Ok((uid, User::from_uid(uid).map_err(unanswered)?))
}

fn group_of(name: &str) -> Result<Gid, UserError> {
    let unanswered = |why: nix::Error| UserError::Unanswered {
        name: name.to_owned(),
        why: why.desc().to_owned(),
    };
    if let Some(entry) = Group::from_name(name).map_err(unanswered)? {
        return Ok(entry.gid);
    }
    name.parse().map(Gid::from_raw).map_err(|_| UserError::NoGroup(name.to_owned()))
}

/// All groups of a user, with the one that the process is to have.
fn groups_of(entry: &User, gid: Gid) -> Result<Vec<Gid>, UserError> {
    let unanswered = |why: String| UserError::Unanswered { name: entry.name.clone(), why };
    let name = std::ffi::CString::new(entry.name.as_str())
        .map_err(|error| unanswered(error.to_string()))?;
    getgrouplist(&name, gid).map_err(|why| unanswered(why.desc().to_owned()))
}

fn variables_of(entry: &User) -> BTreeMap<String, String> {
    [
        ("HOME", entry.dir.to_string_lossy().into_owned()),
        ("USER", entry.name.clone()),
        ("LOGNAME", entry.name.clone()),
        ("SHELL", entry.shell.to_string_lossy().into_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

#[cfg(test)]
mod tests {
    use super::{UserError, find};

    #[test]
    fn users_and_groups_are_found_by_name_or_number() {
        let root = find("root");
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: 1 test needs root");
            assert_eq!(root, Err(UserError::NotRoot("root".to_owned())));
            return;
        }
        let root = root.unwrap();
        let run_as = root.run_as.unwrap();
        assert_eq!((run_as.uid, run_as.gid, run_as.groups.contains(&0)), (0, 0, true));
        assert_eq!(root.variables["USER"], "root");
        let numbers = find("4294000001:4294000002").unwrap();
        let run_as = numbers.run_as.unwrap();
        assert_eq!((run_as.uid, run_as.gid), (4_294_000_001, 4_294_000_002));
        assert_eq!((run_as.groups, numbers.variables.len()), (vec![4_294_000_002], 0));
        assert_eq!(find("4294000001"), Err(UserError::NoGroupNamed(4_294_000_001)));
        assert_eq!(find("nobody-here"), Err(UserError::NoUser("nobody-here".to_owned())));
        assert_eq!(find("root:no-group"), Err(UserError::NoGroup("no-group".to_owned())));
    }
}
