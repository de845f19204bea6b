//! Secrets: passwords in the URLs of servers. Puts them in, and keeps them out of what people see.
//!
//! Pure text work; which file or variable a password stands in is `daemon::settings`.

/// The URL with this password: after the user that it names, or alone. Characters that a URL would
/// misread are escaped. A password that the URL has already is replaced.
pub fn with_password(url: &str, password: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (user.split(':').next().unwrap_or_default(), place),
        None => ("", rest),
    };
    format!("{scheme}://{user}:{}@{place}", escaped(password))
}

/// The URL without user, password and options: for people. What stands before the last `@` is taken
/// for a secret, so that one that somebody forgot to escape is not shown either.
pub fn without_secrets(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return "a URL without `://`".to_owned();
    };
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    let place = place.split_once('?').map_or(place, |(place, _)| place);
    format!("{scheme}://{place}")
}

/// The URL without user and password, options kept: to find out whether the rest of it is right.
pub fn without_user(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://{place}"),
        (Some(_) | None, _) => url.to_owned(),
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push('%');
            for digit in [byte >> 4, byte & 15] {
                escaped.extend(
                    char::from_digit(digit.into(), 16).map(|digit| digit.to_ascii_uppercase()),
                );
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{with_password, without_secrets, without_user};

    #[test]
    fn a_password_goes_in_and_never_comes_out() {
        let url = with_password("mongodb://keeper@db1:27017,db2/jobs?replicaSet=rs0", "p@ss/w:rd%");
        assert_eq!(url, "mongodb://keeper:p%40ss%2Fw%3Ard%25@db1:27017,db2/jobs?replicaSet=rs0");
        assert_eq!(without_secrets(&url), "mongodb://db1:27017,db2/jobs");
        assert_eq!(without_user(&url), "mongodb://db1:27017,db2/jobs?replicaSet=rs0");
        assert_eq!(with_password("redis://localhost/3", "ü"), "redis://:%C3%BC@localhost/3");
        assert_eq!(with_password("redis://:old@localhost/3", "new"), "redis://:new@localhost/3");
    }

    #[test]
    fn an_unescaped_password_is_not_shown_either() {
        assert_eq!(without_secrets("mongodb://u:p@ss/w?rd@host/db"), "mongodb://host/db");
        assert_eq!(without_secrets("u:password@host"), "a URL without `://`");
    }
}
