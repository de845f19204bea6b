//! Filling templates into the arguments of a call.

use crate::spec::params::ParamKind;
use crate::spec::task::call::{Argument, Call};
use crate::spec::task::template::{self, Template};

/// What is put in the place of a template.
#[derive(Debug, Clone, PartialEq)]
pub struct Filling<'k> {
    /// As text.
    pub text: String,
    /// The kind of the parameter that it is the value of.
    pub kind: Option<&'k ParamKind>,
}

/// What a template stands for; none: nothing.
type Fill<'f, 'k> = &'f dyn Fn(&Template<'_>) -> Option<Filling<'k>>;

impl Call {
    /// The call with its templates filled in. A text that is one template and nothing else becomes a value of the
    /// parameter's kind: a number, say. The error is the template that nothing can be filled in for.
    pub fn filled<'k>(
        &self,
        fill: impl Fn(&Template<'_>) -> Option<Filling<'k>>,
    ) -> Result<Self, String> {
        Ok(Self {
            path: self.path.clone(),
            args: all(&self.args, &fill)?,
            kwargs: named(&self.kwargs, &fill)?,
        })
    }
}

fn all(arguments: &[Argument], fill: Fill<'_, '_>) -> Result<Vec<Argument>, String> {
    arguments.iter().map(|argument| one(argument, fill)).collect()
}

fn named(
    arguments: &[(String, Argument)],
    fill: Fill<'_, '_>,
) -> Result<Vec<(String, Argument)>, String> {
    arguments.iter().map(|(name, argument)| Ok((name.clone(), one(argument, fill)?))).collect()
}

fn one(argument: &Argument, fill: Fill<'_, '_>) -> Result<Argument, String> {
    Ok(match argument {
        Argument::Text(content) => text(content, fill)?,
        Argument::List(items) => Argument::List(all(items, fill)?),
        Argument::Map(entries) => Argument::Map(named(entries, fill)?),
        Argument::None | Argument::Bool(_) | Argument::Integer(_) | Argument::Float(_) => {
            argument.clone()
        }
    })
}

fn text(content: &str, fill: Fill<'_, '_>) -> Result<Argument, String> {
    let whole = template::templates(content).find(|found| found.place == (0..content.len()));
    if let Some(found) = whole {
        let filling = fill(&found).ok_or_else(|| content.to_owned())?;
        return Ok(match filling.kind {
            Some(kind) => kind.argument_of(&filling.text),
            None => Argument::Text(filling.text),
        });
    }
    let filled = template::expand(content, |found| fill(found).map(|filling| filling.text))?;
    Ok(Argument::Text(filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_template_keeps_its_kind_and_nothing_is_read_as_code() {
        let whole = ParamKind::Integer { min: None, max: None };
        let fill = |found: &Template<'_>| match found.name {
            "rows" => Some(Filling { text: "5".to_owned(), kind: Some(&whole) }),
            "shop" => Some(Filling { text: "\", evil(\"".to_owned(), kind: None }),
            _ => None,
        };
        let filled = |text: &str| Call::parse(text).unwrap().filled(fill).map(|c| c.to_string());
        assert_eq!(
            filled(r#"a.B("${params.rows}", [{"k": "${params.rows} rows"}], x="${params.rows}")"#),
            Ok(r#"a.B(5, [{"k": "5 rows"}], x=5)"#.to_owned())
        );
        assert_eq!(filled(r#"a.B("${params.shop}")"#), Ok(r#"a.B("\", evil(\"")"#.to_owned()));
        assert_eq!(filled(r#"a.B("x ${params.day}")"#), Err("${params.day}".to_owned()));
        assert_eq!(filled(r#"a.B("${params.day}")"#), Err("${params.day}".to_owned()));
    }
}
