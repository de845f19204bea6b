//! Templates: `${params.x}` and the like are part of the grammar and not expanded yet. Passing them on
//! as they stand would start the wrong thing.

use std::ops::Range;

/// The names before the dot.
const NAMESPACES: [&str; 4] = ["params.", "secrets.", "env.", "execution."];

/// The first template in a text. `${HOME}` is none: a shell in an argument may want it.
pub fn find(text: &str) -> Option<Range<usize>> {
    text.match_indices("${").find_map(|(start, sign)| {
        let rest = text.get(start + sign.len()..)?;
        let known = NAMESPACES.iter().any(|namespace| rest.starts_with(namespace));
        let end = rest.find('}')?;
        known.then_some(start..start + sign.len() + end + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn only_the_four_namespaces_are_templates() {
        assert_eq!(find("--day ${params.day} x"), Some(6..19));
        assert_eq!(find("${HOME} ${execution.id}"), Some(8..23));
        assert_eq!(find("${HOME}"), None);
        assert_eq!(find("${params.day"), None);
    }
}
