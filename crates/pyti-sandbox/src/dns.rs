//! DNS messages, as far as saying "that name does not exist" needs them (RFC 1035).

/// A question, as it was asked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// The name without its last dot.
    pub(crate) name: Vec<u8>,
    /// `A`, `AAAA`, …
    pub(crate) record: String,
}

/// Reads the first question of a message; `None` when it is no question.
pub(crate) fn question(message: &[u8]) -> Option<Question> {
    let is_query = message.get(2)? & 0x80 == 0;
    let count = u16::from_be_bytes([*message.get(4)?, *message.get(5)?]);
    if !is_query || count == 0 {
        return None;
    }
    let (mut at, mut name) = (12, Vec::new());
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        // a pointer has no place in a question
        if length > 63 || name.len() + length > 255 {
            return None;
        }
        if !name.is_empty() {
            name.push(b'.');
        }
        name.extend_from_slice(message.get(at..at + length)?);
        at += length;
    }
    let kind = u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]);
    let record = match kind {
        1 => "A".to_owned(),
        2 => "NS".to_owned(),
        5 => "CNAME".to_owned(),
        6 => "SOA".to_owned(),
        12 => "PTR".to_owned(),
        15 => "MX".to_owned(),
        16 => "TXT".to_owned(),
        28 => "AAAA".to_owned(),
        33 => "SRV".to_owned(),
        65 => "HTTPS".to_owned(),
        255 => "ANY".to_owned(),
        other => format!("TYPE{other}"),
    };
    Some(Question { name, record })
}

/// The answer that the name does not exist.
pub(crate) fn no_such_name(message: &[u8]) -> Option<Vec<u8>> {
    let mut answer = message.get(..12)?.to_vec();
    // the question is given back; records behind it are not
    let mut at = 12;
    while let Some(length) = message.get(at).map(|l| usize::from(*l)) {
        at += 1 + length;
        if length == 0 {
            break;
        }
    }
    answer.extend_from_slice(message.get(12..at + 4)?);
    answer[2] = 0x80 | (message[2] & 0x79) | 0x04;
    answer[3] = 0x80 | 3;
    answer[4..12].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(name: &str, kind: u16) -> Vec<u8> {
        let mut message = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            message.push(u8::try_from(label.len()).unwrap());
            message.extend(label.as_bytes());
        }
        message.push(0);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1]);
        message
    }

    #[test]
    fn questions_are_read_and_denied() {
        let message = ask("db.example.invalid", 28);
        let asked = question(&message).unwrap();
        assert_eq!(
            (asked.name.as_slice(), asked.record.as_str()),
            (&b"db.example.invalid"[..], "AAAA")
        );
        let answer = no_such_name(&message).unwrap();
        assert_eq!(&answer[..2], &[0xab, 0xcd]);
        assert_eq!(answer[2] & 0x80, 0x80, "an answer");
        assert_eq!(answer[3] & 0x0f, 3, "NXDOMAIN");
        assert_eq!(answer.len(), message.len());
    }

    #[test]
    fn anything_else_is_no_question() {
        let whole = ask("a.b", 1);
        for cut in 0..whole.len() - 2 {
            assert_eq!(question(&whole[..cut]), None, "{cut}");
        }
        let mut answer = whole;
        answer[2] |= 0x80;
        assert_eq!(question(&answer), None);
    }
}
