//! Templates in texts: `${execution.id}` and the like.
//!
//! They are filled in when an attempt starts: in the arguments of commands and calls, and in what an HTTP call
//! sends. What is filled in is never split, quoted or read as code. Scripts have variables instead.

use std::borrow::Cow;
use std::ops::Range;

use crate::spec::params::variable_of;

/// What a template takes its value from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    /// Parameters of the job.
    Params,
    /// Secrets of the job.
    Secrets,
    /// Variables of the job process.
    Env,
    /// Facts of the execution.
    Execution,
}

impl Namespace {
    /// The word before the dot.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Params => "params",
            Self::Secrets => "secrets",
            Self::Env => "env",
            Self::Execution => "execution",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        let all = [Self::Params, Self::Secrets, Self::Env, Self::Execution];
        all.into_iter().find(|namespace| namespace.as_str() == word)
    }
}

/// What `${execution.…}` can name, and the variable of a job process that holds it.
pub const EXECUTION_FACTS: [(&str, &str); 6] = [
    ("id", "CRONWRIGHT_EXECUTION_ID"),
    ("job", "CRONWRIGHT_JOB"),
    ("attempt", "CRONWRIGHT_ATTEMPT"),
    ("fire_time", "CRONWRIGHT_SCHEDULED_TIME"),
    ("cause", "CRONWRIGHT_CAUSE"),
    ("revision", "CRONWRIGHT_REVISION"),
];

/// A template in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template<'t> {
    /// Where it stands, from `$` to `}`.
    pub place: Range<usize>,
    /// Before the dot.
    pub namespace: Namespace,
    /// Behind the dot.
    pub name: &'t str,
}

impl Template<'_> {
    /// The variable of the job process that holds what is to be filled in; none: nothing does.
    pub fn variable(&self) -> Option<Cow<'_, str>> {
        match self.namespace {
            Namespace::Env | Namespace::Secrets => Some(self.name.into()),
            Namespace::Params => Some(variable_of(self.name).into()),
            Namespace::Execution => EXECUTION_FACTS
                .iter()
                .find(|(name, _)| *name == self.name)
                .map(|(_, variable)| (*variable).into()),
        }
    }
}

/// The templates in a text. `${HOME}` is none: a shell in an argument may want it.
pub fn templates(text: &str) -> impl Iterator<Item = Template<'_>> {
    text.match_indices("${").filter_map(|(start, sign)| {
        let inner = start + sign.len();
        let (inside, _) = text.get(inner..)?.split_once('}')?;
        let (before, name) = inside.split_once('.')?;
        let namespace = Namespace::parse(before)?;
        Some(Template { place: start..inner + inside.len() + 1, namespace, name })
    })
}

/// The place of the first template in a text.
pub fn find(text: &str) -> Option<Range<usize>> {
    templates(text).next().map(|template| template.place)
}

/// The text with its templates filled in. The error is the template that nothing can be filled in for.
pub fn expand(
    text: &str,
    fill: impl Fn(&Template<'_>) -> Option<String>,
) -> Result<String, String> {
    let mut expanded = String::new();
    let mut done = 0;
    for template in templates(text) {
        let Template { place, .. } = &template;
        let written = || text.get(place.clone()).unwrap_or_default().to_owned();
        expanded.push_str(text.get(done..place.start).unwrap_or_default());
        expanded.push_str(&fill(&template).ok_or_else(written)?);
        done = place.end;
    }
    expanded.push_str(text.get(done..).unwrap_or_default());
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::{expand, find};

    #[test]
    fn only_the_four_namespaces_are_templates() {
        assert_eq!(find("--day ${params.day} x"), Some(6..19));
        assert_eq!(find("${HOME} ${execution.id}"), Some(8..23));
        assert_eq!(find("${HOME}"), None);
        assert_eq!(find("${params.day"), None);
    }

    #[test]
    fn what_is_filled_in_is_not_looked_at_again() {
        let filled = |text| expand(text, |template| Some(format!("<${{env.{}}}>", template.name)));
        assert_eq!(
            filled("a ${env.X}${execution.id} ${HOME} b"),
            Ok("a <${env.X}><${env.id}> ${HOME} b".into())
        );
        assert_eq!(filled("plain"), Ok("plain".into()));
        assert_eq!(expand("a ${env.X}", |_| None), Err("${env.X}".into()));
    }
}
