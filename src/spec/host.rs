//! What jobs need of the machine that runs them, and which of it is not there. Pure: who looks at the machine is
//! `io::host`.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::codes;
use crate::spec::job::JobSpec;
use crate::spec::task::Task;
use crate::spec::task::template;

/// A program as a job names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProgramName {
    /// A path, or a name that the PATH knows.
    pub name: String,
    /// The PATH that the job sets itself; none: the daemon's.
    pub path: Option<String>,
    /// Where a relative path counts from: the job's `working_dir`, as written.
    pub working_dir: Option<String>,
}

/// What is to be looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Questions {
    /// Users, as `user` names them.
    pub users: BTreeSet<String>,
    /// Folders, as `working_dir` names them.
    pub folders: BTreeSet<String>,
    /// Programs.
    pub programs: BTreeSet<ProgramName>,
}

/// What was found on a machine. What was not looked for counts as there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// Why nothing can run as these users.
    pub users: BTreeMap<String, String>,
    /// Why nothing can begin in these folders.
    pub folders: BTreeMap<String, String>,
    /// Why these programs cannot be started.
    pub programs: BTreeMap<ProgramName, String>,
    /// Why these limits (`cpu`, `memory`, `pids`) cannot be held.
    pub limits: BTreeMap<&'static str, String>,
    /// The most files that a process may hold open; none: no limit.
    pub files_max: Option<u64>,
}

/// What a job needs and the machine does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// The key that asks for it, from the job down.
    pub keys: Vec<&'static str>,
    /// The code of the complaint.
    pub code: &'static str,
    /// The complaint.
    pub message: String,
    /// What helps.
    pub help: &'static str,
}

/// The limits that need a control group, of those that a job has.
fn group_limits(job: &JobSpec) -> impl Iterator<Item = &'static str> {
    let limits = job.process.limits;
    let wanted = [
        ("cpu", limits.cpu_thousandths.is_some()),
        ("memory", limits.memory_bytes.is_some()),
        ("pids", limits.pids.is_some()),
    ];
    wanted.into_iter().filter(|(_, is_wanted)| *is_wanted).map(|(key, _)| key)
}

/// The program of a job and the key that names it; none: it is not the job that names it, or it is filled in later.
fn program_of(job: &JobSpec) -> Option<(&'static str, ProgramName)> {
    let (key, name) = match &job.task {
        Task::Command(argv) => ("command", argv.first()?),
        Task::Script { shell, .. } => ("shell", shell.first()?),
        Task::Class { .. } | Task::Http(_) => return None,
    };
    let is_fixed = template::expand(name, |_| None).is_ok_and(|text| text == *name);
    let path = job.env.get("PATH").cloned();
    let name = ProgramName { name: name.clone(), path, working_dir: job.working_dir.clone() };
    is_fixed.then_some((key, name))
}

impl Questions {
    /// What these jobs need.
    pub fn of<'j>(jobs: impl IntoIterator<Item = &'j JobSpec>) -> Self {
        let mut questions = Self::default();
        for job in jobs {
            questions.users.extend(job.process.user.clone());
            questions.folders.extend(job.working_dir.clone());
            questions.programs.extend(program_of(job).map(|(_, program)| program));
        }
        questions
    }
}

/// What a job needs and a machine with these facts does not have.
pub fn lacks(job: &JobSpec, facts: &HostFacts) -> Vec<Lack> {
    let user = job.process.user.as_ref().and_then(|user| facts.users.get(user));
    let user = user.map(|why| Lack {
        keys: vec!["user"],
        code: codes::NO_USER_HERE,
        message: why.clone(),
        help: "`getent passwd` and `getent group` show who is known here",
    });
    let folder = job.working_dir.as_ref();
    let folder = folder.and_then(|folder| facts.folders.get_key_value(folder));
    let folder = folder.map(|(folder, why)| Lack {
        keys: vec!["working_dir"],
        code: codes::NO_FOLDER_HERE,
        message: format!("nothing begins in `{folder}` here: {why}"),
        help: "make the folder before the job is due: nothing is started without it",
    });
    let program = program_of(job).and_then(|(key, program)| {
        let why = facts.programs.get(&program)?;
        Some(Lack {
            keys: vec![key],
            code: codes::NO_PROGRAM_HERE,
            message: format!("`{}` cannot be started here: {why}", program.name),
            help: "install it, or name it by its path",
        })
    });
    user.into_iter().chain(folder).chain(program).chain(limits_not_held(job, facts)).collect()
}

fn limits_not_held(job: &JobSpec, facts: &HostFacts) -> Vec<Lack> {
    let lack = |key, message| Lack {
        keys: vec!["limits", key],
        code: codes::NO_LIMIT_HERE,
        message,
        help: "an execution that cannot be limited so ends as `failed(spawn)`, and says the same",
    };
    let of_group =
        group_limits(job).filter_map(|key| Some(lack(key, facts.limits.get(key)?.clone())));
    let mut found: Vec<Lack> = of_group.collect();
    let files = job.process.limits.files.map(u64::from);
    if let Some((files, most)) = files.zip(facts.files_max).filter(|(files, most)| files > most) {
        let message =
            format!("`limits.files` is {files}, and {most} is allowed here (`ulimit -Hn`)");
        found.push(lack("files", message));
    }
    found
}

#[cfg(test)]
mod tests;
