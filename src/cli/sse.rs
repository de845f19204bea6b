//! Reads `text/event-stream`, of which the daemon uses ids and data of one line.

/// The longest line that is read, in bytes. The daemon's are much shorter.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// A piece of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Where whoever comes back goes on.
    Id(String),
    /// An event.
    Data(String),
}

/// Takes a stream apart, as its bytes come.
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// What these bytes complete; none: this is no such stream.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Option<Vec<Piece>> {
        let mut pieces = Vec::new();
        self.begun.extend_from_slice(bytes);
        while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.begun.drain(..=end).collect();
            pieces.extend(piece(String::from_utf8(line).ok()?.trim_end()));
        }
        (self.begun.len() <= LINE_BYTES_MAX).then_some(pieces)
    }
}

fn piece(line: &str) -> Option<Piece> {
    let (name, value) = line.split_once(": ")?;
    match name {
        "id" => Some(Piece::Id(value.to_owned())),
        "data" => Some(Piece::Data(value.to_owned())),
        // Signs of life, and what later versions say.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_however_their_bytes_come() {
        let stream = "retry: 1000\nid: 7-0\n\n: nothing new\n\nid: 7-1\ndata: {\"a\":\"é\"}\n\n";
        let expected = [
            Piece::Id("7-0".to_owned()),
            Piece::Id("7-1".to_owned()),
            Piece::Data("{\"a\":\"é\"}".to_owned()),
        ];
        assert_eq!(Lines::default().take(stream.as_bytes()).unwrap(), expected);
        let mut lines = Lines::default();
        let one_by_one = stream.bytes().flat_map(|byte| lines.take(&[byte]).unwrap());
        assert_eq!(one_by_one.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_line_without_end_is_no_stream() {
        assert_eq!(Lines::default().take(&vec![b'x'; LINE_BYTES_MAX + 1]), None);
    }
}
