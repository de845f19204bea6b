//! Previous names of one job. What they mean beside other jobs is `load::previous`.

use crate::diagnostic::{Diagnostic, codes};
use crate::spec::job::JobName;
use crate::spec::manifest::lower::site::Site;
use crate::spec::manifest::raw::RawJobName;

/// The names in the order in which they are written; `site` is the list.
pub fn read(
    name: &JobName,
    raw: Option<Vec<RawJobName>>,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Vec<JobName> {
    let mut names: Vec<JobName> = Vec::new();
    for (index, text) in raw.unwrap_or_default().into_iter().enumerate() {
        // The schema has looked at the form.
        let Ok(previous) = JobName::parse(&text.0) else { continue };
        if previous == *name {
            let message = format!("`{name}` is the name that the job has now");
            let help = "list only names that it had before";
            out.push(site.item(index).diagnostic(codes::BAD_PREVIOUS_NAME, message).help(help));
        } else if let Some(first) = names.iter().position(|known| *known == previous) {
            let message = format!("the previous name `{previous}` stands twice in this list");
            let diagnostic = site.item(index).diagnostic(codes::BAD_PREVIOUS_NAME, message);
            let first = site.item(first).place();
            out.push(diagnostic.related(first, "first here").help("remove one of them"));
        } else {
            names.push(previous);
        }
    }
    names
}
