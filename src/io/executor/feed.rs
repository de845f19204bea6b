//! What of a growing output is new: it is looked at again and again, and holds its beginning and its end only.

/// How much of an output has been shown.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Feed {
    shown: u64,
}

impl Feed {
    /// The bytes that were not shown yet, with a mark where some were not kept; none: these are no parts of an output
    /// of `bytes` bytes.
    pub fn news(&mut self, head: &[u8], tail: &[u8], bytes: u64) -> Option<Vec<u8>> {
        let tail_at = bytes.checked_sub(tail.len() as u64)?;
        let head_end = head.len() as u64;
        let from = |bytes: &[u8], at: u64| {
            let skip = usize::try_from(self.shown.saturating_sub(at)).unwrap_or(usize::MAX);
            bytes.get(skip..).unwrap_or_default().to_vec()
        };
        let mut news = from(head, 0);
        let dropped = tail_at.saturating_sub(head_end.max(self.shown));
        if dropped > 0 {
            news.extend(format!("\n[… {dropped} bytes were not kept …]\n").into_bytes());
        }
        news.extend(from(tail, tail_at));
        self.shown = bytes;
        Some(news)
    }
}

#[cfg(test)]
mod tests {
    use super::Feed;

    #[test]
    fn only_what_is_new_is_shown_and_what_was_dropped_is_marked() {
        for (head, tail, bytes, shown, expected) in [
            ("abc", "", 3, 0, "abc"),
            ("abc", "", 3, 2, "c"),
            ("abc", "", 3, 3, ""),
            ("abc", "de", 5, 0, "abcde"),
            ("abc", "de", 5, 4, "e"),
            ("abc", "yz", 26, 0, "abc\n[… 21 bytes were not kept …]\nyz"),
            ("abc", "yz", 26, 20, "\n[… 4 bytes were not kept …]\nyz"),
            ("abc", "yz", 26, 25, "z"),
        ] {
            let mut feed = Feed { shown };
            let news = feed.news(head.as_bytes(), tail.as_bytes(), bytes).unwrap();
            assert_eq!(String::from_utf8(news).unwrap(), expected, "{head} {tail} {bytes} {shown}");
        }
        assert_eq!(Feed::default().news(b"", b"toolong", 3), None);
    }
}
