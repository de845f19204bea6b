//! What this machine has of that which jobs need. Looks, and decides nothing: that is `spec::host`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, FlockOperation, accessat, flock};
use rustix::process::{Resource, getrlimit};

use crate::io::executor::users::{self, UserError};
use crate::spec::host::{HostFacts, ProgramName, Questions};
use crate::supervisor::cgroup::offer::{Controller, offered_to, refusal};
use crate::supervisor::protocol::GroupLimits;

/// Where is looked.
#[derive(Debug, Clone, Copy)]
pub struct Lookout<'a> {
    /// Where relative folders count from.
    pub base_dir: &'a Path,
    /// Where programs are looked for that a job gives no PATH for; none: nowhere.
    pub path: Option<&'a str>,
    /// The state directory: where its supervisor runs, limits are judged by what that may do.
    pub state_dir: Option<&'a Path>,
}

/// Looks for all of it.
pub fn look(questions: &Questions, lookout: Lookout<'_>) -> HostFacts {
    let Questions { users, folders, programs } = questions;
    let users = users.iter().filter_map(|user| Some((user.clone(), no_user(user)?)));
    let folders = folders
        .iter()
        .filter_map(|folder| Some((folder.clone(), no_folder(&lookout.base_dir.join(folder))?)));
    let programs = programs
        .iter()
        .filter_map(|program| Some((program.clone(), no_program(program, lookout)?)));
    HostFacts {
        users: users.collect(),
        folders: folders.collect(),
        programs: programs.collect(),
        limits: limits_not_held(lookout.state_dir),
        files_max: getrlimit(Resource::Nofile).maximum,
    }
}

fn no_user(user: &str) -> Option<String> {
    match users::find(user) {
        // Whoever asks need not be who runs the daemon.
        Ok(_) | Err(UserError::NotRoot(_)) => None,
        Err(error) => Some(error.to_string()),
    }
}

fn no_folder(folder: &Path) -> Option<String> {
    match folder.metadata() {
        Ok(found) if found.is_dir() => None,
        Ok(_) => Some(format!("{} is no folder", folder.display())),
        Err(error) => Some(format!("{}: {error}", folder.display())),
    }
}

/// As `supervisor::image` looks for it.
fn no_program(program: &ProgramName, lookout: Lookout<'_>) -> Option<String> {
    let base_dir = lookout.base_dir;
    let working_dir: PathBuf =
        program.working_dir.as_ref().map_or_else(|| base_dir.to_owned(), |dir| base_dir.join(dir));
    if program.name.contains('/') {
        return not_executable(&working_dir.join(&program.name));
    }
    let path = program.path.as_deref().or(lookout.path)?;
    let is_there =
        |folder: &str| not_executable(&working_dir.join(folder).join(&program.name)).is_none();
    let is_found = path.split(':').any(is_there);
    (!is_found).then(|| format!("it is in no folder of the PATH `{path}`"))
}

fn not_executable(file: &Path) -> Option<String> {
    let at = file.display();
    match file.metadata() {
        Err(error) => Some(format!("{at}: {error}")),
        Ok(found) if !found.is_file() => Some(format!("{at} is no file")),
        Ok(_) => match accessat(CWD, file, Access::EXEC_OK, AtFlags::EACCESS) {
            Ok(()) => None,
            Err(_) => Some(format!("{at} may not be executed")),
        },
    }
}

fn limits_not_held(state_dir: Option<&Path>) -> BTreeMap<&'static str, String> {
    let offer = offered_to(state_dir.and_then(supervisor_of));
    let limits = Controller::ALL.map(|controller| {
        let some = |of| (controller == of).then_some(1);
        let limits = GroupLimits {
            cpu_thousandths_max: some(Controller::Cpu).map(|_| 1000),
            memory_bytes_max: some(Controller::Memory),
            pids_max: some(Controller::Pids).map(|_| 1),
        };
        Some((controller.as_str(), refusal(&offer, &limits)?))
    });
    limits.into_iter().flatten().collect()
}

/// The process id of a supervisor that runs.
fn supervisor_of(state_dir: &Path) -> Option<u32> {
    let path = state_dir.join("supervisor.lock");
    #[expect(clippy::disallowed_methods, reason = "the lock of the supervisor")]
    let (lock, text) = (std::fs::File::open(&path).ok()?, std::fs::read_to_string(&path).ok()?);
    // Whoever gets the lock knows that nobody holds it.
    match flock(&lock, FlockOperation::NonBlockingLockShared) {
        Ok(()) => None,
        Err(_) => text.split_ascii_whitespace().next()?.parse().ok(),
    }
}
