//! Passwords in the URLs of servers: how they are written there, and how they are kept out of what people see.
//!
//! Pure text work; which file or variable a password stands in is `daemon::settings`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

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

/// As it may stand anywhere in a URL without being read as anything but text (RFC 3986, 2.3).
pub fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::{escaped, without_secrets, without_user};

    #[test]
    fn a_password_is_escaped_and_not_shown() {
        assert_eq!(escaped("p@ss/w:rd%ü-._~"), "p%40ss%2Fw%3Ard%25%C3%BC-._~");
        let url = "mongodb://keeper:p%40ss@db1:27017,db2/jobs?replicaSet=rs0";
        assert_eq!(without_secrets(url), "mongodb://db1:27017,db2/jobs");
        assert_eq!(without_user(url), "mongodb://db1:27017,db2/jobs?replicaSet=rs0");
    }

    #[test]
    fn an_unescaped_password_is_not_shown_either() {
        assert_eq!(without_secrets("mongodb://u:p@ss/w?rd@host/db"), "mongodb://host/db");
        assert_eq!(without_secrets("u:password@host"), "a URL without `://`");
    }
}
