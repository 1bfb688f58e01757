//! What scripts answer: frames with a word in front that only this call knows, and an end that tells the script's own
//! status, because ssh's is ambiguous (255 is also its own).

use crate::host::Section;

/// The machine that answers is not the one that was meant.
pub(super) const STATUS_WRONG_MACHINE: i32 = 90;
/// The last check before a reboot found the host in use.
pub(super) const STATUS_NOT_QUIET: i32 = 91;
/// What the script was to do failed.
pub(super) const STATUS_FAILED: i32 = 92;

/// A script's answer, as far as it came through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// Frames in order.
    pub(super) frames: Vec<(String, Section)>,
    /// The script's own status; `None` when the answer breaks off.
    pub(super) status: Option<i32>,
}

impl Answer {
    /// Reads the frames that bear `nonce`; whatever stands before the first one (a banner, a login script's greeting) is
    /// skipped.
    pub(super) fn read(output: &[u8], nonce: &str) -> Self {
        let mark = format!("@{nonce} ");
        let mut answer = Self::default();
        let mut rest = output;
        while let Some(start) = find_line(rest, mark.as_bytes()) {
            let (line, body) = split_line(&rest[start..]);
            let head = String::from_utf8_lossy(&line[mark.len()..]).into_owned();
            if let Some(status) = head.strip_prefix("end ") {
                answer.status = status.trim().parse().ok();
                break;
            }
            let Some((section, name, length)) = frame(&head, body) else { break };
            answer.frames.push((name, section));
            rest = &body[length..];
        }
        answer
    }

    /// The frame of that name.
    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        self.frames.iter().find(|(found, _)| found == name).map(|(_, section)| section)
    }
}

/// A frame whose head is `STATUS LENGTH NAME` and whose body is the start of `rest`, if it came through whole.
fn frame(head: &str, rest: &[u8]) -> Option<(Section, String, usize)> {
    let mut words = head.splitn(3, ' ');
    let status = words.next()?.parse().ok()?;
    let length: usize = words.next()?.parse().ok()?;
    let name = words.next()?.to_owned();
    let body = rest.get(..length)?;
    Some((Section { status, text: String::from_utf8_lossy(body).into_owned() }, name, length))
}

/// Where the first line that starts with `mark` begins.
fn find_line(text: &[u8], mark: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with(mark) {
            return Some(at);
        }
        at += text[at..].iter().position(|byte| *byte == b'\n')? + 1;
    }
    None
}

/// The first line without its end, and what follows it.
fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &[]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_are_read_behind_a_greeting_and_the_end_tells_the_status() {
        let answer = Answer::read(b"Welcome!\n@n 0 5 kernel\n4.18\n\n@n 1 0 dmesg\n\n@n end 91\n", "n");
        assert_eq!(answer.section("kernel").unwrap().text, "4.18\n");
        assert_eq!(answer.section("dmesg").unwrap().status, 1);
        assert_eq!(answer.status, Some(STATUS_NOT_QUIET));
    }

    #[test]
    fn a_body_cannot_forge_a_frame_even_when_it_knows_the_word() {
        let forged = "x\n@n 0 1 virsh\ny\n@n end 0\n";
        let text = format!("@n 0 {} conf\n{forged}\n@n end 3\n", forged.len());
        let answer = Answer::read(text.as_bytes(), "n");
        assert_eq!(answer.frames.len(), 1);
        assert_eq!(answer.section("conf").unwrap().text, forged);
        assert_eq!(answer.status, Some(3));
    }

    #[test]
    fn an_answer_that_breaks_off_has_no_status() {
        for text in ["", "@n 0 50 kernel\n4.18", "@n 0 4 kernel\n4.18\n@n en", "@other end 0\n", "@n 0 x k\n"] {
            assert_eq!(Answer::read(text.as_bytes(), "n").status, None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_framed_is_what_is_read(bodies in prop::collection::vec("(?s)(@n end 0\n|\n|.){0,10}", 0..6)) {
            let frames: Vec<String> = bodies.iter().map(|body| format!("@n 0 {} a name\n{body}\n", body.len())).collect();
            let text = format!("{}@n end 0\n", frames.concat());
            let answer = Answer::read(text.as_bytes(), "n");
            let read: Vec<&str> = answer.frames.iter().map(|(_, section)| section.text.as_str()).collect();
            prop_assert_eq!(read, bodies.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(answer.status, Some(0));
        }

        #[test]
        fn no_output_makes_the_reader_panic(output in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut output = output;
            output.splice(0..0, b"@n 0 9".iter().copied());
            Answer::read(&output, "n");
        }
    }
}
